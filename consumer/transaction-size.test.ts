import { expect, test } from 'vitest'
import { TransactionSize } from './transaction-size.ts'

const mebibyte = 1024 * 1024

/** Commits what is asked for at so many milliseconds a mebibyte, until that settles; the last duration. */
function settle(size: TransactionSize, msPerMebibyte: number, ageMs: number): number {
  let ms = 0
  for (let round = 0; round < 20; round++) {
    const bytes = size.next().bytesMax
    ms = (msPerMebibyte * bytes) / mebibyte
    size.committed({ bytes, ms, ageMs })
  }
  return ms
}

test('a transaction comes to last a quarter of a second, whatever a row costs', () => {
  const size = new TransactionSize()
  expect(settle(size, 100, 0)).toBeCloseTo(250, 0)
  expect(settle(size, 20, 0)).toBeCloseTo(250, 0)
})

test('while the consumer is behind it lasts up to a second, and comes back', () => {
  const size = new TransactionSize()
  expect(settle(size, 100, 5_000)).toBeCloseTo(1_000, 0)
  expect(settle(size, 100, 200)).toBeCloseTo(250, 0)
})

test('memory bounds it on a fast disk, and a slow one still takes a mebibyte', () => {
  const size = new TransactionSize()
  settle(size, 1, 5_000)
  expect(size.next().bytesMax).toBe(16 * mebibyte)
  settle(size, 10_000, 0)
  expect(size.next().bytesMax).toBe(mebibyte)
})

test('small transactions say nothing of what a large one costs', () => {
  const size = new TransactionSize()
  const before = size.next()
  for (let round = 0; round < 100; round++) size.committed({ bytes: 100, ms: 10, ageMs: 50 })
  expect(size.next()).toEqual(before)
})

test('there may be more when as much came as was asked for', () => {
  const size = new TransactionSize()
  const asked = size.next()
  const { batchesMax, bytesMax } = asked
  expect(size.isFull({ batchCount: batchesMax, bytes: 1 }, asked)).toBe(true)
  expect(size.isFull({ batchCount: 1, bytes: bytesMax }, asked)).toBe(true)
  expect(size.isFull({ batchCount: 3, bytes: 1_000 }, asked)).toBe(false)
})

test('a share of a transaction is that much less, but never less than a mebibyte', () => {
  const size = new TransactionSize()
  settle(size, 20, 0)
  const whole = size.next().bytesMax
  expect(size.next(1 / 4).bytesMax).toBe(Math.round(whole / 4))
  expect(size.next(1 / 1_000).bytesMax).toBe(mebibyte)
})
