import { beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../../test/kit/manual-clock.ts'
import { type FlushCohort, AckWaiters } from './ack-waiters.ts'

let clock: ManualClock
let ackWaiters: AckWaiters
let reached: string[]

const progress = (pushed: number, applied: number) =>
  ackWaiters.progress({ pushed, applied, outcomes: new Map() })
const add = (ack: 'queued' | 'committed', cohort: FlushCohort) =>
  ackWaiters.add(ack, cohort, result => reached.push(`${ack}: ${result}`))

beforeEach(() => {
  clock = new ManualClock(1_000)
  reached = []
  ackWaiters = new AckWaiters(clock, 5_000)
})

test('a request that waits for the queue is answered by a push, one that waits for the store by the watermark', () => {
  const cohort = { sequenceLast: 3 }
  add('queued', cohort)
  add('committed', cohort)
  progress(2, 1)
  expect(reached).toEqual([])
  progress(3, 2)
  expect(reached).toEqual(['queued: queued'])
  progress(3, 3)
  expect(reached).toEqual(['queued: queued', 'committed: committed'])
  expect(ackWaiters.count).toBe(0)
})

test('a cohort that is not completely sealed has reached nothing, wherever its producer is', () => {
  const cohort: FlushCohort = { sequenceLast: null }
  add('committed', cohort)
  progress(9, 9)
  expect(reached).toEqual([])
  cohort.sequenceLast = 9
  progress(9, 9)
  expect(reached).toEqual(['committed: committed'])
})

test('a queue that forgot everything but the watermark has had the batch all the same', () => {
  add('queued', { sequenceLast: 2 })
  progress(0, 2)
  expect(reached).toEqual(['queued: committed'])
})

test('when the time is over the answer says how far it came, and later progress says nothing more', () => {
  add('committed', { sequenceLast: 3 })
  add('committed', { sequenceLast: 4 })
  progress(3, 2)
  clock.pass(4_999)
  expect(reached).toEqual([])
  clock.pass(1)
  expect(reached).toEqual(['committed: queued', 'committed: memory'])
  progress(4, 4)
  expect(reached).toHaveLength(2)
  expect(clock.timers).toEqual([])
})

test('each waits its own time', () => {
  add('committed', { sequenceLast: 3 })
  clock.pass(3_000)
  add('queued', { sequenceLast: null })
  clock.pass(2_000)
  expect(reached).toEqual(['committed: memory'])
  clock.pass(2_999)
  expect(reached).toHaveLength(1)
  clock.pass(1)
  expect(reached).toEqual(['committed: memory', 'queued: memory'])
})

test('a request that no longer waits is not answered', () => {
  const cancel = add('committed', { sequenceLast: 1 })
  cancel()
  progress(1, 1)
  clock.pass(10_000)
  expect(reached).toEqual([])
  expect(ackWaiters.count).toBe(0)
})
