import { beforeEach, expect, test } from 'vitest'
import type { Clock } from '../../lib/clock.ts'
import { type Mood, Pace } from './pace.ts'

let nowMs: number
let timers: { readonly atMs: number; readonly run: () => void }[]
let mood: Mood
let pace: Pace
const clock: Clock = {
  nowMs: () => nowMs,
  monotonicMs: () => nowMs,
  after(delayMs, run) {
    const timer = { atMs: nowMs + delayMs, run }
    timers.push(timer)
    return {
      cancel: () => {
        timers = timers.filter(each => each !== timer)
      },
    }
  },
}
beforeEach(() => {
  nowMs = 5_000
  timers = []
  mood = 'usual'
  pace = new Pace({ clock, flushIntervalMs: 100, idleIntervalMs: 1_000, mood: () => mood })
  pace.begun()
})
/** When the one timer that there is will ring. */
const dueMs = () => {
  expect(timers).toHaveLength(1)
  return timers[0]!.atMs
}

test('flushes begin an interval apart, however long each takes', () => {
  nowMs += 30
  void pace.pause()
  expect(dueMs()).toBe(5_100)
})

test('a flush that took longer than the interval is followed by the next at once', () => {
  nowMs += 250
  void pace.pause()
  expect(dueMs()).toBe(5_250)
})

test('who waits makes the pause a short one, and once it is short no further one changes it', () => {
  void pace.pause()
  mood = 'hurried'
  pace.changed()
  expect(dueMs()).toBe(5_005)
  nowMs += 3
  const [timer] = timers
  pace.changed()
  expect(timers).toEqual([timer])
})

test('idle, it sleeps long; what comes then is flushed at once', () => {
  mood = 'idle'
  void pace.pause()
  expect(dueMs()).toBe(6_000)
  nowMs += 700
  mood = 'usual'
  pace.changed()
  expect(dueMs()).toBe(5_700)
})

test('a pause that is ended leaves no timer', async () => {
  const pause = pace.pause()
  pace.end()
  await pause
  expect(timers).toEqual([])
})
