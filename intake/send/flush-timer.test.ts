import { beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../../test/kit/manual-clock.ts'
import { type Mood, Pace } from './flush-timer.ts'

let clock: ManualClock
let mood: Mood
let pace: Pace

beforeEach(() => {
  clock = new ManualClock(5_000)
  mood = 'usual'
  pace = new Pace({ clock, flushIntervalMs: 100, idleIntervalMs: 1_000, mood: () => mood })
  pace.begun()
})
/** When the one timer that there is will ring. */
const dueMs = () => {
  expect(clock.timers).toHaveLength(1)
  return clock.timers[0]!.atMs
}

test('flushes begin an interval apart, however long each takes', () => {
  clock.pass(30)
  void pace.pause()
  expect(dueMs()).toBe(5_100)
})

test('a flush that took longer than the interval is followed by the next at once', () => {
  clock.pass(250)
  void pace.pause()
  expect(dueMs()).toBe(5_250)
})

test('who waits makes the pause a short one, and once it is short no further one changes it', () => {
  void pace.pause()
  mood = 'hurried'
  pace.changed()
  expect(dueMs()).toBe(5_005)
  clock.pass(3)
  const [timer] = clock.timers
  pace.changed()
  expect(clock.timers).toEqual([timer])
})

test('idle, it sleeps long; what comes then is flushed at once', () => {
  mood = 'idle'
  void pace.pause()
  expect(dueMs()).toBe(6_000)
  clock.pass(700)
  mood = 'usual'
  pace.changed()
  expect(dueMs()).toBe(5_700)
})

test('a pause that is ended leaves no timer', async () => {
  const pause = pace.pause()
  pace.end()
  await pause
  expect(clock.timers).toEqual([])
})
