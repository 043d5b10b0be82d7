import { describe, expect, test } from 'vitest'
import { median, percentile, readable } from './statistics.ts'

describe('the median', () => {
  test('of an odd count is the one in the middle, by size and not by spelling', () => {
    expect(median([100, 9, 20])).toBe(20)
  })

  test('of an even count is the mean of the two in the middle', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5)
  })

  test('of nothing is no number', () => {
    expect(median([])).toBeNaN()
  })
})

test('a percentile is a value that was there', () => {
  const values = Array.from({ length: 1_000 }, (_, index) => 1_000 - index)
  expect(percentile(values, 0.5)).toBe(500)
  expect(percentile(values, 0.99)).toBe(990)
  expect(percentile(values, 0.999)).toBe(999)
  expect(percentile([7], 0.999)).toBe(7)
})

test.each([
  [1234567.8, '1,234,568'],
  [0.84613, '0.846'],
  [12.345, '12.3'],
  [Number.NaN, '–'],
])('%d is written %s', (value, text) => {
  expect(readable(value)).toBe(text)
})
