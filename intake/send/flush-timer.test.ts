import { beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../../test/kit/manual-clock.ts'
import { type FlushMode, FlushTimer } from './flush-timer.ts'

let clock: ManualClock
let mode: FlushMode
let flushTimer: FlushTimer

beforeEach(() => {
  clock = new ManualClock(5_000)
  mode = 'usual'
  flushTimer = new FlushTimer({ clock, flushIntervalMs: 100, idleIntervalMs: 1_000, mode: () => mode })
  flushTimer.begun()
})
/** When the one timer that there is will ring. */
const dueMs = () => {
  expect(clock.timers).toHaveLength(1)
  return clock.timers[0]!.atMs
}

test('flushes begin an interval apart, however long each takes', () => {
  clock.pass(30)
  void flushTimer.pause()
  expect(dueMs()).toBe(5_100)
})

test('a flush that took longer than the interval is followed by the next at once', () => {
  clock.pass(250)
  void flushTimer.pause()
  expect(dueMs()).toBe(5_250)
})

test('a waiting request makes the pause a short one, and further ones do not change it', () => {
  void flushTimer.pause()
  mode = 'hurried'
  flushTimer.changed()
  expect(dueMs()).toBe(5_005)
  clock.pass(3)
  const [timer] = clock.timers
  flushTimer.changed()
  expect(clock.timers).toEqual([timer])
})

test('idle, it sleeps long; what comes then is flushed at once', () => {
  mode = 'idle'
  void flushTimer.pause()
  expect(dueMs()).toBe(6_000)
  clock.pass(700)
  mode = 'usual'
  flushTimer.changed()
  expect(dueMs()).toBe(5_700)
})

test('a pause that is ended leaves no timer', async () => {
  const pause = flushTimer.pause()
  flushTimer.end()
  await pause
  expect(clock.timers).toEqual([])
})
