import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { batch, keyedRequest } from '../../test/kit/builders.ts'
import { Folder } from '../../test/kit/service.ts'
import { IdempotencyKeySweep } from './idempotency-key-sweep.ts'
import { openSqliteStore } from './open.ts'
import type { SqliteStore } from './sqlite-store.ts'

const windowMs = 10_000
let folder: Folder
let nowMs: number
let clock: Clock
let store: SqliteStore
let sweep: IdempotencyKeySweep
let keyCount: number
let sequence: number

beforeEach(() => {
  folder = new Folder()
  nowMs = keyCount = sequence = 0
  // Each look at the clock is late: no sweep is over within its time.
  clock = { ...systemClock, nowMs: () => nowMs, monotonicMs: () => (nowMs += 25) }
  open()
})
afterEach(async () => {
  await store.close()
  folder[Symbol.dispose]()
})

function open(idempotencyKeysMax = Number.POSITIVE_INFINITY): void {
  store = openSqliteStore(folder.database, { clock, log: pino({ level: 'silent' }), idempotencyKeysMax })
  sweep = new IdempotencyKeySweep({ store, clock, idempotencyWindowMs: windowMs })
}
/** A transaction of so many new requests. */
async function commit(count: number) {
  const keyed = Array.from({ length: count }, () => keyedRequest(`key ${keyCount++}`, 'a', 1))
  const batches = [batch({ sequence: ++sequence, sums: {}, keyed, sealed: keyCount })]
  const result = await store.commit({ batches, rejected: [], presumedDead: new Set() })
  sweep.arrived(count)
  return result
}

test('however fast keys arrive, those of one window are kept', async () => {
  for (let round = 0; round < 12; round++) {
    await commit(2_500)
    nowMs += windowMs / 4
    sweep.sweep()
    expect(store.idempotencyKeyCount()).toBeLessThanOrEqual(5 * 2_500)
  }
})

test('what was left by a busier day is forgotten in bounded pieces, and nothing that is younger', async () => {
  for (let round = 0; round < 3; round++) await commit(1_500)
  const counts = () => {
    sweep.sweep()
    return store.idempotencyKeyCount()
  }
  sweep = new IdempotencyKeySweep({ store, clock, idempotencyWindowMs: windowMs })
  expect(counts()).toBe(4_500)
  nowMs += windowMs
  await commit(10)
  expect(counts()).toBe(3_510)
  nowMs += 1_000
  expect(counts()).toBe(2_510)
  for (let round = 0; round < 10; round++) {
    nowMs += 200
    sweep.sweep()
  }
  expect(store.idempotencyKeyCount()).toBe(10)
})

test('a table that is full has room as soon as its oldest keys are over', async () => {
  await store.close()
  open(1_000)
  await commit(1_000)
  expect((await commit(2)).outcomes[0]!.codes).toBe('ff')
  sweep.sweep()
  expect(store.idempotencyKeyCount()).toBe(1_000)
  nowMs += windowMs + 1_000
  sweep.sweep()
  expect((await commit(2)).outcomes[0]!.codes).toBe('aa')
  expect(folder.sql('SELECT count(*) FROM refused_requests')).toBe('0')
})
