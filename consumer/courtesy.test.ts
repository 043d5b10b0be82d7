import { expect, test } from 'vitest'
import { systemClock } from '../lib/clock.ts'
import { ManualClock } from '../test/manual-clock.ts'
import { Courtesy } from './courtesy.ts'

test('the core is left to others before work, and then whenever it was held for long', () => {
  const clock = new ManualClock(0)
  let offers = 0
  const courtesy = new Courtesy(clock, () => {
    offers++
    clock.pass(5)
  })
  const offersAfter = (work: () => void) => {
    work()
    return offers
  }
  expect(offersAfter(() => courtesy.begin())).toBe(1)
  expect(offersAfter(() => courtesy.pause())).toBe(1)
  clock.pass(0.25)
  expect(offersAfter(() => courtesy.pause())).toBe(1)
  clock.pass(0.25)
  expect(offersAfter(() => courtesy.pause())).toBe(2)
  expect(offersAfter(() => courtesy.pause())).toBe(2)
})

test('work on a busy core is not put off without end', () => {
  const clock = new ManualClock(0)
  let offers = 0
  const courtesy = new Courtesy(clock, () => offers++)
  for (let work = 1; work <= 3; work++) {
    courtesy.begin()
    for (let statement = 0; statement < 1_000; statement++) {
      clock.pass(1)
      courtesy.pause()
    }
    expect(offers).toBe(work * 10)
  }
})

test('it sleeps, and not for long', () => {
  const courtesy = new Courtesy(systemClock)
  const startedMs = systemClock.monotonicMs()
  const startedCpu = process.cpuUsage()
  for (let count = 0; count < 100; count++) courtesy.begin()
  const { user, system } = process.cpuUsage(startedCpu)
  const takenMs = systemClock.monotonicMs() - startedMs
  expect(takenMs).toBeGreaterThan(10)
  expect((user + system) / 1_000).toBeLessThan(takenMs)
})
