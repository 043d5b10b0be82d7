import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeBatch, type Sum } from '../../batch/batch.ts'
import { BatchWriter } from '../../batch/writer.ts'
import { valueMax } from '../../batch/limits.ts'
import { batch, keyedRequest } from '../../test/kit/builders.ts'
import { increment } from '../../test/kit/increments.ts'
import { Accumulator } from './accumulator.ts'

function entriesOf(accumulator: Accumulator): { key: string; sum: Sum; count: number }[] {
  return Array.from({ length: accumulator.summedKeyCount }, () => {
    const writer = new BatchWriter()
    const count = accumulator.write(1, writer)
    const { keys, sums } = decodeBatch(writer.finish(batch({ sequence: 1 })))
    return { key: keys[0]!, sum: sums[0]!, count }
  })
}

const fresh = () => new Accumulator(() => ({ wallMs: 1_000, monotonicMs: 5 }))

test('sums and counts are kept per key, in the order in which the keys came', () => {
  const accumulator = fresh()
  accumulator.add(increment('b', 1))
  accumulator.add(increment('a', 5))
  accumulator.add(increment('b', -3))
  accumulator.add(increment('zero', 0))
  expect(accumulator.keyCount).toBe(3)
  expect(entriesOf(accumulator)).toEqual([
    { key: 'b', sum: -2, count: 2 },
    { key: 'a', sum: 5, count: 1 },
    { key: 'zero', sum: 0, count: 1 },
  ])
})

test('the time of the oldest increment is that of the first one', () => {
  let wallMs = 100
  const accumulator = new Accumulator(() => ({ wallMs: wallMs++, monotonicMs: 0 }))
  expect(accumulator.oldest).toBeNull()
  accumulator.add(increment('a', 1))
  accumulator.add(increment('b', 1))
  accumulator.add(increment('a', 1))
  expect(accumulator.oldest).toEqual({ wallMs: 100, monotonicMs: 0 })
})

test('it grows with its keys', () => {
  const accumulator = fresh()
  for (let index = 0; index < 5_000; index++) accumulator.add(increment(`key ${index}`, index))
  const entries = entriesOf(accumulator)
  expect(entries).toHaveLength(5_000)
  expect(entries.every(({ key, sum }) => key === `key ${sum}`)).toBe(true)
})

test('names that objects have of their own are keys like any others', () => {
  const accumulator = fresh()
  for (const key of ['__proto__', 'constructor', 'toString']) accumulator.add(increment(key, 1))
  expect(accumulator.keyCount).toBe(3)
})

test('sums are exact however large they become', () => {
  const value = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(valueMax, -valueMax, 1, -1, 0))
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 200 }), values => {
      const accumulator = fresh()
      for (const each of values) accumulator.add(increment('a', each))
      const { sum, count } = entriesOf(accumulator)[0]!
      expect(BigInt(sum)).toBe(values.reduce((total, each) => total + BigInt(each), 0n))
      expect(typeof sum === 'bigint' || Number.isSafeInteger(sum)).toBe(true)
      expect(count).toBe(values.length)
    }),
  )
})

test('cleared, it is as good as new, whatever was in it', () => {
  const large = fc.constantFrom(valueMax, -valueMax, 1, -5, 0)
  const round = fc.array(fc.tuple(fc.nat({ max: 60_000 }), large), { maxLength: 100 })
  const used = fresh()
  fc.assert(
    fc.property(fc.array(round, { minLength: 1, maxLength: 4 }), rounds => {
      for (const each of rounds) {
        const unused = fresh()
        for (const accumulator of [used, unused])
          for (const [key, value] of each) accumulator.add(increment(`key ${key}`, value))
        expect(used.oldest).toEqual(unused.oldest)
        expect(entriesOf(used)).toEqual(entriesOf(unused))
        expect(used.tryClear(used)).toBe(true)
        expect([used.keyCount, used.oldest]).toEqual([0, null])
      }
    }),
  )
})

test('cleared, it has no keyed requests any more', () => {
  const accumulator = fresh()
  const keyed = { request: keyedRequest('x', 'a', 1), sequenceLast: null, position: -1 }
  accumulator.addKeyed(keyed)
  expect(accumulator.tryClear(accumulator)).toBe(true)
  expect([accumulator.keyed, accumulator.keyCount, accumulator.oldest]).toEqual([[], 0, null])
})

test('far more room than was needed is not kept', () => {
  const accumulator = fresh()
  for (let index = 0; index < 5_000; index++) accumulator.add(increment(`key ${index}`, 1))
  const small = fresh()
  for (let index = 0; index < 1_000; index++) small.add(increment(`key ${index}`, 1))
  expect(accumulator.tryClear(small)).toBe(true)
  expect(accumulator.tryClear(fresh())).toBe(false)
})
