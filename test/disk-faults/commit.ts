import { pino } from 'pino'
import { systemClock } from '../../lib/clock.ts'
import { OperationError } from '../../lib/errors.ts'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import type { Store } from '../../store/store.ts'
import { batch } from '../kit/builders.ts'

const keys = Array.from({ length: 30 }, (_, index) => `key ${index}`)
const triesMax = 3

/**
 * Commits so many batches, each in a transaction of its own, as a consumer does to whose queue they come
 * again and again: what the store has is skipped. Batch 3 adds 100 to every key. Tells of each commit. Tries
 * again what may pass; throws what needs a fresh process.
 */
export async function commitAll(
  path: string,
  count: number,
  committed: (sequence: number) => void,
): Promise<void> {
  const store = openSqliteStore(path, { clock: systemClock, log: pino({ level: 'silent' }) })
  try {
    for (let sequence = 1; sequence <= count; sequence++) {
      await commit(store, sequence)
      committed(sequence)
    }
  } finally {
    await store.close()
  }
}

async function commit(store: Store, sequence: number): Promise<void> {
  const sums = Object.fromEntries(keys.map(key => [key, 10 ** (sequence - 1)]))
  const request = { batches: [batch({ sequence, sums })], rejected: [], presumedDead: new Set<string>() }
  for (let attempt = 1; ; attempt++) {
    try {
      await store.commit(request)
      return
    } catch (error) {
      const mayPass = error instanceof OperationError && ['soon', 'later'].includes(error.policy.retry)
      if (!mayPass || attempt === triesMax) throw error
    }
  }
}
