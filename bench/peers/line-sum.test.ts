import { expect, test } from 'vitest'
import { LineSum } from './statsd.ts'

test('a number that arrives in two pieces is added once, and whole', async () => {
  const lines = new LineSum(/^FLUSHED (\d+)$/)
  lines.read('FLUSHED 1')
  lines.read('20\nreading config\nFLUSHED 3\nFLUSHED 4')
  expect(await lines.sumAfter(0)).toBe(123)
})
