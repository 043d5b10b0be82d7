import fc from 'fast-check'
import { expect, test } from 'vitest'
import { valueMax } from '../../queue/limits.ts'
import { Accumulator, mapKeysMax } from './accumulator.ts'

const fresh = () => new Accumulator(() => ({ wallMs: 1_000, monotonicMs: 5 }))

test('sums and counts are kept per key, in the order in which the keys came', () => {
  const accumulator = fresh()
  accumulator.add('b', 1)
  accumulator.add('a', 5)
  accumulator.add('b', -3)
  accumulator.add('zero', 0)
  expect(accumulator.keyCount).toBe(3)
  expect([...accumulator.entries()]).toEqual([
    { key: 'b', sum: -2, count: 2 },
    { key: 'a', sum: 5, count: 1 },
    { key: 'zero', sum: 0, count: 1 },
  ])
})

test('the time of the oldest increment is that of the first one', () => {
  let wallMs = 100
  const accumulator = new Accumulator(() => ({ wallMs: wallMs++, monotonicMs: 0 }))
  expect(accumulator.oldest).toBeNull()
  accumulator.add('a', 1)
  accumulator.add('b', 1)
  accumulator.add('a', 1)
  expect(accumulator.oldest).toEqual({ wallMs: 100, monotonicMs: 0 })
})

test('it grows with its keys', () => {
  const accumulator = fresh()
  for (let index = 0; index < 5_000; index++) accumulator.add(`key ${index}`, index)
  const entries = [...accumulator.entries()]
  expect(entries).toHaveLength(5_000)
  expect(entries.every(({ key, sum }) => key === `key ${sum}`)).toBe(true)
})

test('keys beyond those of the Map are counted as exactly', () => {
  const accumulator = fresh()
  const keyCount = mapKeysMax + 20_000
  for (let round = 0; round < 2; round++)
    for (let index = 0; index < keyCount; index++) accumulator.add(`key ${index}`, index)
  accumulator.add(`key ${keyCount - 1}`, valueMax)
  expect(accumulator.keyCount).toBe(keyCount)
  expect(
    [mapKeysMax - 1, mapKeysMax, keyCount - 1, keyCount].map(each => accumulator.has(`key ${each}`)),
  ).toEqual([true, true, true, false])
  const entries = [...accumulator.entries()]
  const last = { key: `key ${keyCount - 1}`, sum: BigInt(valueMax) + 2n * BigInt(keyCount - 1), count: 3 }
  expect(entries.pop()).toEqual(last)
  expect(entries).toHaveLength(keyCount - 1)
  expect(
    entries.every(({ key, sum, count }, index) => key === `key ${index}` && sum === 2 * index && count === 2),
  ).toBe(true)
})

test('names that objects have of their own are keys like any others', () => {
  const accumulator = fresh()
  for (const key of ['__proto__', 'constructor', 'toString']) accumulator.add(key, 1)
  expect(accumulator.keyCount).toBe(3)
})

test('sums are exact however large they become', () => {
  const value = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(valueMax, -valueMax, 1, -1, 0))
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 200 }), values => {
      const accumulator = fresh()
      for (const each of values) accumulator.add('a', each)
      const { sum, count } = accumulator.entries().next().value!
      expect(BigInt(sum)).toBe(values.reduce((total, each) => total + BigInt(each), 0n))
      expect(typeof sum === 'bigint' || Number.isSafeInteger(sum)).toBe(true)
      expect(count).toBe(values.length)
    }),
  )
})
