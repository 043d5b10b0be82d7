import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { OperationError } from '../../lib/errors.ts'
import { batch, keyedRequest, producerId } from '../../test/kit/builders.ts'
import { openSqliteStore } from './open.ts'
import { type Database, openForWriting } from './sqlite.ts'
import { SqliteStore } from './sqlite-store.ts'
import type { CommitRequest } from '../store.ts'

const parts = { clock: systemClock, log: pino({ level: 'silent' }) }
const codes = ['SQLITE_FULL', 'SQLITE_IOERR_WRITE', 'SQLITE_IOERR_FSYNC', 'SQLITE_BUSY', 'SQLITE_NOMEM']
let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'piccolo-faults-'))
  path = join(folder, 'numbers.db')
})
afterEach(() => rmSync(folder, { recursive: true }))

/**
 * Something of everything: sums, a redelivery, a gap that closes, keyed requests, an overflow, garbage, a
 * batch that was given up and arrives, and one that is given up.
 */
const first: CommitRequest = {
  batches: [
    batch({ sequence: 1, sums: { a: 1, max: 2n ** 63n - 1n }, keyed: [keyedRequest('k', 'a', 10)] }),
    batch({ producer: 2, sequence: 2, sums: { b: 2 } }),
    batch({ producer: 4, sequence: 4, sums: { e: 1 } }),
  ],
  rejected: [],
  presumedDead: new Set([producerId(4)]),
}
const second: CommitRequest = {
  batches: [
    first.batches[0]!,
    batch({
      sequence: 2,
      sums: { a: 100, max: 1 },
      keyed: [keyedRequest('k', 'a', 10), keyedRequest('l', 'c', 1)],
    }),
    batch({ producer: 2, sequence: 1, sums: { b: 20 } }),
    batch({ producer: 3, sequence: 5, sums: { d: 7 } }),
    batch({ producer: 4, sequence: 2, sums: { e: 10 } }),
    batch({ producer: 5, sequence: 2, sums: { e: 100 } }),
  ],
  rejected: [{ element: 'garbage', reason: 'is no batch' }],
  presumedDead: new Set([producerId(5)]),
}
const tables = [
  'numbers',
  'parked',
  'given_up',
  'set_aside',
  'adjustments',
  'rejected_elements',
  'idempotency_keys',
  'idempotency_key_count',
]
const ledger = 'SELECT producer, watermark, sealed, applied, lost, sum, duplicate FROM producers'

/** All that the database holds, but for times. */
function content(): string {
  const database = new Sqlite(path, { readonly: true })
  try {
    const rows = [ledger, ...tables.map(table => `SELECT * FROM ${table}`)].map(query =>
      database.prepare(query).all(),
    )
    return JSON.stringify(rows, (name, value) => (/_ms$/.test(name) ? undefined : value))
  } finally {
    database.close()
  }
}

/**
 * Opens the store on a database whose statements fail from that call on, as a full disk does; or only after
 * the commit, when nobody knows whether it happened. A failing statement is not carried out.
 */
function openFaulty(code: string, failsAt: number | 'after the commit') {
  const state = { isArmed: false, callCount: 0 }
  const fail = () => {
    throw new Sqlite.SqliteError(`injected ${code}`, code)
  }
  const count = () => {
    if (state.isArmed && ++state.callCount >= (failsAt as number)) fail()
  }
  const database = openForWriting(path, () => {})
  const faulty = new Proxy(database, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown
      if (name === 'prepare') return (sql: string) => faultyStatement(target.prepare(sql), count)
      if (name === 'transaction')
        return (work: () => unknown) => ({
          immediate: () => {
            const result = target.transaction(work).immediate()
            if (state.isArmed && failsAt === 'after the commit') fail()
            return result
          },
        })
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { store: new SqliteStore(faulty as Database, parts, () => {}), state }
}

function faultyStatement(statement: ReturnType<Database['prepare']>, count: () => void): unknown {
  return new Proxy(statement, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        if (name === 'run' || name === 'get' || name === 'all') count()
        return value.apply(target, args)
      }
    },
  })
}

async function commitAll(...requests: CommitRequest[]): Promise<void> {
  const store = openSqliteStore(path, parts)
  try {
    for (const request of requests) await store.commit(request)
  } finally {
    await store.close()
  }
}

describe.each(codes)('%s', code => {
  test('at each statement in turn: nothing is changed, and the next try is right', async () => {
    await commitAll(first, second)
    const expected = content()
    let failsAt = 1
    for (; ; failsAt++) {
      rmSync(path, { force: true })
      for (const suffix of ['-wal', '-shm']) rmSync(path + suffix, { force: true })
      await commitAll(first)
      const before = content()
      const { store, state } = openFaulty(code, failsAt)
      state.isArmed = true
      let error: unknown = null
      try {
        await store.commit(second)
      } catch (thrown) {
        error = thrown
      }
      state.isArmed = false
      if (error === null) {
        await store.close()
        break
      }
      expect(error).toBeInstanceOf(OperationError)
      expect(content(), `statement ${failsAt}`).toBe(before)
      await store.commit(second)
      expect(content(), `after statement ${failsAt}`).toBe(expected)
      await store.close()
    }
    // It got far: a run that fails at no statement has many of them.
    expect(failsAt).toBeGreaterThan(20)
    expect(content()).toBe(expected)
  })

  test('after a commit of which nobody knows whether it happened, a fresh process counts nothing twice', async () => {
    await commitAll(first)
    const { store, state } = openFaulty(code, 'after the commit')
    state.isArmed = true
    await expect(store.commit(second)).rejects.toThrow(OperationError)
    await store.close()
    const committed = content()
    await commitAll(second, first, second)
    expect(content()).toBe(committed)
  })
})

test('a database that may not grow refuses a whole batch, and takes it when it may', async () => {
  await commitAll(first)
  const before = content()
  const database = openForWriting(path, () => {})
  const store = new SqliteStore(database, parts, () => {})
  const keys = Object.fromEntries(
    Array.from({ length: 5_000 }, (_, index) => [`key ${index}`.padEnd(200), 1]),
  )
  const large = {
    batches: [batch({ sequence: 2, sums: keys })],
    rejected: [],
    presumedDead: new Set<string>(),
  }
  database.pragma(`max_page_count = ${database.pragma('page_count', { simple: true }) as number}`)
  await expect(store.commit(large)).rejects.toMatchObject({ code: 'store_full' })
  expect(content()).toBe(before)
  database.pragma('max_page_count = 1000000')
  expect((await store.commit(large)).rowCount).toBe(5_000)
  await store.close()
})
