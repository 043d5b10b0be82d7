import { execFileSync } from 'node:child_process'
import { renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { OperationError } from '../../lib/errors.ts'
import { batch } from '../../test/kit/builders.ts'
import { Folder } from '../../test/kit/service.ts'
import { openStore } from './open.ts'
import type { Store } from '../store.ts'

const log = pino({ level: 'silent' })
let folder: Folder
let store: Store
let nowMs: number

beforeEach(() => {
  folder = new Folder()
  nowMs = 0
  store = open()
  apply(1)
})
afterEach(() => {
  store.close()
  folder[Symbol.dispose]()
})

function open(path = folder.database): Store {
  return openStore(path, { ...systemClock, monotonicMs: () => nowMs }, log)
}
/** Calls `meanwhile` inside the transaction. */
function apply(sequence: number, meanwhile = () => {}): void {
  const sums = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`key ${index}`, sequence]))
  const plain = batch({ sequence, sums })
  const read = {
    ...plain,
    get keys() {
      meanwhile()
      return plain.keys
    },
  }
  store.apply({ batches: [read], rejected: [], presumedDead: new Set() })
}
function code(work: () => void): string {
  try {
    work()
  } catch (error) {
    if (error instanceof OperationError) return error.code
    throw error
  }
  return 'none'
}
const copy = () => join(folder.path, 'copy.db')
const total = () => folder.sql("SELECT value FROM numbers WHERE key = 'key 7'")

test('what is committed to a file that lost its name meanwhile is not told to be committed', () => {
  const remove = () => rmSync(folder.database, { force: true })
  expect(code(() => apply(2, remove))).toBe('store_gone')
  expect(code(() => apply(2))).toBe('store_gone')
  expect(code(() => store.check())).toBe('store_gone')
  expect(code(() => store.forgetIdempotencyKeys(1, 1))).toBe('store_gone')
})

test.each([0, 0.5])('a log that was cut off to %d of its length is not written to', part => {
  const log = `${folder.database}-wal`
  truncateSync(log, Math.floor(statSync(log).size * part))
  expect(code(() => apply(2))).toBe('store_replaced')
})

test('a log that another program has emptied is written to', () => {
  folder.sql('PRAGMA wal_checkpoint(TRUNCATE)')
  expect(statSync(`${folder.database}-wal`).size).toBe(0)
  apply(2)
  expect(total()).toBe('3')
})

test('what another one in its place would read as its log is moved into the one that is open', () => {
  folder.sql(`.backup ${copy()}`)
  apply(2)
  renameSync(folder.database, `${folder.database}-away`)
  renameSync(copy(), folder.database)
  expect(code(() => apply(3))).toBe('store_gone')
  expect(statSync(`${folder.database}-wal`).size).toBe(0)
  nowMs = 999
  expect(code(() => apply(3))).toBe('store_gone')
  nowMs = 1_000
  expect(code(() => apply(3))).toBe('store_replaced')
  store.close()
  expect(total()).toBe('1')
  expect(folder.sql('PRAGMA integrity_check')).toBe('ok')
  const away = execFileSync('sqlite3', [
    `${folder.database}-away`,
    "SELECT value FROM numbers WHERE key = 'key 7'",
  ])
  expect(away.toString().trim()).toBe('3')
  store = open()
  apply(2)
  expect(total()).toBe('3')
})

test('a log that is left behind by a stop has nothing in it that another database would read', () => {
  folder.sql(`.backup ${copy()}`)
  apply(2)
  renameSync(copy(), folder.database)
  store.close()
  expect(statSync(`${folder.database}-wal`).size).toBe(0)
  expect(total()).toBe('1')
  store = open()
})

test('what was there and is away is not made anew', () => {
  store.close()
  rmSync(folder.database)
  const reopen = () => void openStore(folder.database, systemClock, log, { mustExist: true })
  expect(code(reopen)).toBe('store_gone')
  writeFileSync(folder.database, '')
  expect(code(reopen)).toBe('store_gone')
  store = open()
})

test('a file in its place that still grows, or is empty, is not opened', () => {
  rmSync(folder.database)
  for (const text of ['', '', 'a', 'ab', 'abc']) {
    writeFileSync(folder.database, text)
    expect(code(() => store.check())).toBe('store_gone')
    nowMs += 10_000
  }
  expect(code(() => store.check())).toBe('store_replaced')
})

test('what its log holds is in the database before another process is to open it, log or no log', () => {
  apply(2)
  rmSync(`${folder.database}-wal`)
  expect(code(() => apply(3))).toBe('store_replaced')
  expect(code(() => store.check())).toBe('store_replaced')
  // As by another program, or after a crash: without what this process still has open.
  execFileSync('cp', [folder.database, copy()])
  const copied = execFileSync('sqlite3', [copy(), "SELECT value FROM numbers WHERE key = 'key 7'"])
  expect(copied.toString().trim()).toBe('3')
})

test('a link that leads to another database now is noticed', () => {
  store.close()
  const link = join(folder.path, 'link.db')
  symlinkSync(folder.database, link)
  store = open(link)
  apply(2)
  rmSync(link)
  expect(code(() => apply(3))).toBe('store_gone')
  symlinkSync(folder.database, link)
  expect(code(() => apply(3))).toBe('none')
})
