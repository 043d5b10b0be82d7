import { pino } from 'pino'
import { expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { storeError, type StoreErrorCode } from '../errors.ts'
import { Maintenance } from './maintenance.ts'

/** A database whose calls fail with these codes, one each. */
function start() {
  const failures = { sweep: [] as StoreErrorCode[], checkpoint: [] as StoreErrorCode[] }
  const failNext = (codes: StoreErrorCode[]) => {
    const code = codes.shift()
    if (code !== undefined) throw storeError(code, 'as injected')
  }
  const state = { nowMs: 0, checkpointCount: 0 }
  const store = {
    forgetIdempotencyKeys() {
      failNext(failures.sweep)
      return 0
    },
    checkpoint() {
      failNext(failures.checkpoint)
      state.checkpointCount++
      return true
    },
    uncopiedBytes: () => 0,
  }
  const clock = { ...systemClock, monotonicMs: () => state.nowMs }
  const log = pino({ level: 'silent' })
  const parts = { store, clock, log, checkpointed: () => {}, idempotencyWindowMs: 1_000 }
  const maintenance = new Maintenance(parts)
  maintenance.committed(0)
  const idle = () => {
    state.nowMs += 1_000
    return maintenance.run('idle')
  }
  return { failures, state, idle }
}

test('a task that fails is named until it works, and keeps no other from being done', () => {
  const { failures, state, idle } = start()
  failures.sweep = ['store_busy', 'store_full']
  failures.checkpoint = ['store_full']
  expect(idle()).toEqual([
    'idempotency keys cannot be forgotten: store_busy',
    'the database log cannot be copied: store_full',
  ])
  expect(idle()).toEqual(['idempotency keys cannot be forgotten: store_full'])
  expect(state.checkpointCount).toBe(1)
  expect(idle()).toEqual([])
})

test('an error that needs a fresh process, or an operator, is thrown', () => {
  const { failures, idle } = start()
  failures.checkpoint = ['store_failed']
  expect(idle).toThrow(expect.objectContaining({ code: 'store_failed' }))
})
