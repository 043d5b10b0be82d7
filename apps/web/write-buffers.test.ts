import { expect, test } from 'vitest'
import type { Clock } from '../../lib/clock.ts'
import { UnreadAnswers } from './write-buffers.ts'

const mebibyte = 1024 * 1024
const lingerMs = 30_000

let timers: { delayMs: number; run: () => void }[] = []
const clock: Clock = {
  nowMs: () => 0,
  monotonicMs: () => 0,
  after(delayMs, run) {
    timers.push({ delayMs, run })
    return { cancel: () => {} }
  },
}

test('one stream may leave a mebibyte unread, and is closed beyond it', () => {
  const unread = new UnreadAnswers(clock, lingerMs)
  expect(unread.verdict(mebibyte)).toBe('fine')
  expect(unread.verdict(mebibyte + 1)).toBe('close')
})

test('beyond what all together may leave, whoever adds to it is cut, until some is read', () => {
  const unread = new UnreadAnswers(clock, lingerMs)
  for (let stream = 0; stream < 64; stream++) unread.changed(0, mebibyte)
  expect(unread.verdict(10)).toBe('fine')
  unread.changed(0, 1)
  expect(unread.verdict(10)).toBe('cut')
  unread.changed(mebibyte, 0)
  expect(unread.verdict(10)).toBe('fine')
})

test('unread answers of a closed stream count for as long as they may stay in memory', () => {
  timers = []
  const unread = new UnreadAnswers(clock, lingerMs)
  unread.changed(0, 500)
  unread.closed(500)
  expect(unread.bytes).toBe(500)
  expect(timers.map(({ delayMs }) => delayMs)).toEqual([lingerMs])
  timers[0]!.run()
  expect(unread.bytes).toBe(0)
})
