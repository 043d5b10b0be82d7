import { expect, test } from 'vitest'
import { Pace } from './transaction-size.ts'

const mebibyte = 1024 * 1024

/** Commits what is asked for at so many milliseconds a mebibyte, until that settles; the last duration. */
function settle(pace: Pace, msPerMebibyte: number, ageMs: number): number {
  let ms = 0
  for (let round = 0; round < 20; round++) {
    const bytes = pace.next().bytesMax
    ms = (msPerMebibyte * bytes) / mebibyte
    pace.committed({ bytes, ms, ageMs })
  }
  return ms
}

test('a transaction comes to last a quarter of a second, whatever a row costs', () => {
  const pace = new Pace()
  expect(settle(pace, 100, 0)).toBeCloseTo(250, 0)
  expect(settle(pace, 20, 0)).toBeCloseTo(250, 0)
})

test('while the consumer is behind it lasts up to a second, and comes back', () => {
  const pace = new Pace()
  expect(settle(pace, 100, 5_000)).toBeCloseTo(1_000, 0)
  expect(settle(pace, 100, 200)).toBeCloseTo(250, 0)
})

test('memory bounds it on a fast disk, and a slow one still takes a mebibyte', () => {
  const pace = new Pace()
  settle(pace, 1, 5_000)
  expect(pace.next().bytesMax).toBe(16 * mebibyte)
  settle(pace, 10_000, 0)
  expect(pace.next().bytesMax).toBe(mebibyte)
})

test('small transactions say nothing of what a large one costs', () => {
  const pace = new Pace()
  const before = pace.next()
  for (let round = 0; round < 100; round++) pace.committed({ bytes: 100, ms: 10, ageMs: 50 })
  expect(pace.next()).toEqual(before)
})

test('there may be more when as much came as was asked for', () => {
  const pace = new Pace()
  const asked = pace.next()
  const { batchesMax, bytesMax } = asked
  expect(pace.isFull({ batchCount: batchesMax, bytes: 1 }, asked)).toBe(true)
  expect(pace.isFull({ batchCount: 1, bytes: bytesMax }, asked)).toBe(true)
  expect(pace.isFull({ batchCount: 3, bytes: 1_000 }, asked)).toBe(false)
})

test('a share of a transaction is that much less, but never less than a mebibyte', () => {
  const pace = new Pace()
  settle(pace, 20, 0)
  const whole = pace.next().bytesMax
  expect(pace.next(1 / 4).bytesMax).toBe(Math.round(whole / 4))
  expect(pace.next(1 / 1_000).bytesMax).toBe(mebibyte)
})
