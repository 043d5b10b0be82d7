import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readForm } from '../intake/parse/form.ts'
import { IncrementList } from '../intake/parse/increment-list.ts'
import { incrementsIn } from '../test/kit/increments.ts'
import { type Plan, targetsOf } from './targets.ts'

const plans: fc.Arbitrary<Plan> = fc
  .record({
    seed: fc.nat(),
    targetCount: fc.integer({ min: 1, max: 200 }),
    valueMax: fc.constantFrom(1, 7, 2 ** 53 - 1),
  })
  .chain(plan => fc.integer({ min: 1, max: plan.targetCount }).map(keyCount => ({ ...plan, keyCount })))
const plan = (given: Partial<Plan>): Plan => ({
  seed: 1,
  targetCount: 1_000,
  keyCount: given.targetCount ?? 1_000,
  valueMax: 10_000,
  ...given,
})
const keysOf = (given: Partial<Plan>) => [...targetsOf(plan(given))].map(target => target.key)

test('a body decodes to its key and value, as URLSearchParams and as the service read it', () => {
  const list = new IncrementList()
  fc.assert(
    fc.property(plans, plan => {
      for (const { key, value, body } of targetsOf(plan)) {
        expect([...new URLSearchParams(body)]).toEqual([
          ['key', key],
          ['value', String(value)],
        ])
        // The service does not tell 0 from -0; neither does a total.
        expect(readForm(new Uint8Array(Buffer.from(body)), '', list)).toBeNull()
        expect(incrementsIn(list)).toEqual([{ key, value: Number(value) }])
      }
    }),
  )
})

test('there are as many targets and keys as the plan says, and no value is beyond its bounds', () => {
  fc.assert(
    fc.property(plans, plan => {
      const targets = [...targetsOf(plan)]
      expect(targets).toHaveLength(plan.targetCount)
      expect(new Set(targets.map(target => target.key)).size).toBe(plan.keyCount)
      for (const { value } of targets) expect(value <= plan.valueMax && value >= -plan.valueMax).toBe(true)
    }),
  )
})

test('the same seed makes the same targets, another seed makes other keys', () => {
  expect([...targetsOf(plan({ seed: 7 }))]).toEqual([...targetsOf(plan({ seed: 7 }))])
  const keys = new Set(keysOf({ seed: 7 }))
  expect(keysOf({ seed: 8 }).filter(key => keys.has(key))).toEqual([])
})

test('a longer list of targets begins with the shorter one', () => {
  expect(keysOf({ targetCount: 20 }).slice(0, 10)).toEqual(keysOf({ targetCount: 10 }))
})

test('keys are mostly UUIDs; some need percent-encoding, some are Unicode', () => {
  const uuid = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-a[\da-f]{3}-[\da-f]{12}$/
  const keys = keysOf({ targetCount: 1_000 })
  const share = (matches: (key: string) => boolean) => keys.filter(matches).length / keys.length
  expect(share(key => uuid.test(key))).toBeGreaterThan(0.5)
  expect(share(key => /[ &=+%#]/.test(key))).toBeGreaterThan(0.1)
  expect(share(key => Buffer.byteLength(key) > key.length)).toBeGreaterThan(0.05)
})

test('values are of both signs, and reach both bounds', () => {
  const values = [...targetsOf(plan({ valueMax: 2 }))].map(target => target.value)
  expect([...new Set(values)].sort((a, b) => Number(a - b))).toEqual([-2n, -1n, 0n, 1n, 2n])
})
