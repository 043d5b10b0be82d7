import { execFileSync } from 'node:child_process'
import { renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { OperationError } from '../../lib/errors.ts'
import { batch } from '../../test/kit/builders.ts'
import { Folder } from '../../test/kit/service.ts'
import { openSqliteStore } from './open.ts'
import type { SqliteStore } from './sqlite-store.ts'

const log = pino({ level: 'silent' })
let folder: Folder
let store: SqliteStore
let nowMs: number

beforeEach(async () => {
  folder = new Folder()
  nowMs = 0
  store = open()
  await commit(1)
})
afterEach(async () => {
  await store.close()
  folder[Symbol.dispose]()
})

function open(path = folder.database): SqliteStore {
  return openSqliteStore(path, { clock: { ...systemClock, monotonicMs: () => nowMs }, log })
}
/** Calls `meanwhile` inside the transaction. */
async function commit(sequence: number, meanwhile = () => {}): Promise<void> {
  const sums = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`key ${index}`, sequence]))
  const plain = batch({ sequence, sums })
  const read = {
    ...plain,
    get keys() {
      meanwhile()
      return plain.keys
    },
  }
  await store.commit({ batches: [read], rejected: [], presumedDead: new Set() })
}
async function code(work: () => Promise<unknown>): Promise<string> {
  try {
    await work()
  } catch (error) {
    if (error instanceof OperationError) return error.code
    throw error
  }
  return 'none'
}
const copy = () => join(folder.path, 'copy.db')
const total = () => folder.sql("SELECT value FROM numbers WHERE key = 'key 7'")

test('what is committed to a file that lost its name meanwhile is not told to be committed', async () => {
  const remove = () => rmSync(folder.database, { force: true })
  expect(await code(() => commit(2, remove))).toBe('store_gone')
  expect(await code(() => commit(2))).toBe('store_gone')
  expect(await code(() => store.maintain('busy'))).toBe('store_gone')
  expect(await code(async () => store.forgetIdempotencyKeys(1, 1))).toBe('store_gone')
})

test.each([0, 0.5])('a log that was cut off to %d of its length is not written to', async part => {
  const log = `${folder.database}-wal`
  truncateSync(log, Math.floor(statSync(log).size * part))
  expect(await code(() => commit(2))).toBe('store_replaced')
})

test('a log that another program has emptied is written to', async () => {
  folder.sql('PRAGMA wal_checkpoint(TRUNCATE)')
  expect(statSync(`${folder.database}-wal`).size).toBe(0)
  await commit(2)
  expect(total()).toBe('3')
})

test('what another one in its place would read as its log is moved into the one that is open', async () => {
  folder.sql(`.backup ${copy()}`)
  await commit(2)
  renameSync(folder.database, `${folder.database}-away`)
  renameSync(copy(), folder.database)
  expect(await code(() => commit(3))).toBe('store_gone')
  expect(statSync(`${folder.database}-wal`).size).toBe(0)
  nowMs = 999
  expect(await code(() => commit(3))).toBe('store_gone')
  nowMs = 1_000
  expect(await code(() => commit(3))).toBe('store_replaced')
  await store.close()
  expect(total()).toBe('1')
  expect(folder.sql('PRAGMA integrity_check')).toBe('ok')
  const away = execFileSync('sqlite3', [
    `${folder.database}-away`,
    "SELECT value FROM numbers WHERE key = 'key 7'",
  ])
  expect(away.toString().trim()).toBe('3')
  store = open()
  await commit(2)
  expect(total()).toBe('3')
})

test('a log that is left behind by a stop has nothing in it that another database would read', async () => {
  folder.sql(`.backup ${copy()}`)
  await commit(2)
  renameSync(copy(), folder.database)
  await store.close()
  expect(statSync(`${folder.database}-wal`).size).toBe(0)
  expect(total()).toBe('1')
  store = open()
})

test('what was there and is away is not made anew', async () => {
  await store.close()
  rmSync(folder.database)
  const reopen = async () =>
    void openSqliteStore(folder.database, { clock: systemClock, log, mustExist: true })
  expect(await code(reopen)).toBe('store_gone')
  writeFileSync(folder.database, '')
  expect(await code(reopen)).toBe('store_gone')
  store = open()
})

test('a file in its place that still grows, or is empty, is not opened', async () => {
  rmSync(folder.database)
  for (const text of ['', '', 'a', 'ab', 'abc']) {
    writeFileSync(folder.database, text)
    expect(await code(() => store.maintain('busy'))).toBe('store_gone')
    nowMs += 10_000
  }
  expect(await code(() => store.maintain('busy'))).toBe('store_replaced')
})

test('what its log holds is in the database before another process is to open it, log or no log', async () => {
  await commit(2)
  rmSync(`${folder.database}-wal`)
  expect(await code(() => commit(3))).toBe('store_replaced')
  expect(await code(() => store.maintain('busy'))).toBe('store_replaced')
  // As by another program, or after a crash: without what this process still has open.
  execFileSync('cp', [folder.database, copy()])
  const copied = execFileSync('sqlite3', [copy(), "SELECT value FROM numbers WHERE key = 'key 7'"])
  expect(copied.toString().trim()).toBe('3')
})

test('a link that leads to another database now is noticed', async () => {
  await store.close()
  const link = join(folder.path, 'link.db')
  symlinkSync(folder.database, link)
  store = open(link)
  await commit(2)
  rmSync(link)
  expect(await code(() => commit(3))).toBe('store_gone')
  symlinkSync(folder.database, link)
  expect(await code(() => commit(3))).toBe('none')
})
