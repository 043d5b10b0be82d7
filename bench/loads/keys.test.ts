import { expect, test } from 'vitest'
import { sampledKeys, shuffledKeys } from './keys.ts'
import { sharesOf } from './wrk.ts'

test('shuffled keys are each there once, in another order, and the same in each run', () => {
  const keys = shuffledKeys(1_000)
  expect(new Set(keys).size).toBe(1_000)
  expect(keys).toContain('test1000')
  expect(keys.slice(0, 3)).not.toEqual(['test1', 'test2', 'test3'])
  expect(shuffledKeys(1_000)).toEqual(keys)
})

test('sampled keys come from all of the range', () => {
  const numbers = sampledKeys(10_000, 10_000_000).map(key => Number(key.slice('test'.length)))
  expect(Math.min(...numbers)).toBeGreaterThanOrEqual(1)
  expect(Math.min(...numbers)).toBeLessThan(10_000)
  expect(Math.max(...numbers)).toBeGreaterThan(9_990_000)
  expect(Math.max(...numbers)).toBeLessThanOrEqual(10_000_000)
  expect(new Set(numbers).size).toBeGreaterThan(9_900)
})

test('connections are divided among processes, and none is lost', () => {
  expect(sharesOf(64)).toEqual([64])
  expect(sharesOf(50_000)).toEqual([12_500, 12_500, 12_500, 12_500])
  expect(sharesOf(50_001).reduce((sum, share) => sum + share, 0)).toBe(50_001)
})
