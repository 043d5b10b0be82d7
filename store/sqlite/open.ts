import { randomUUID } from 'node:crypto'
import { accessSync, constants, existsSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { errorText } from '../../lib/errors.ts'
import type { Log } from '../../lib/process/log.ts'
import { makeFolder } from '../../lib/make-folder.ts'
import { DatabaseFiles } from './database-files.ts'
import { defineDecimals } from './decimals.ts'
import { storeError } from '../errors.ts'
import { checkPlace } from './file-system.ts'
import { refuseForeign, refuseWithoutTotals, tableNames } from './foreign.ts'
import { databaseOptions } from '../../lib/config/database-options.ts'
import { applicationId, migrations, schema, schemaVersion } from './schema.ts'
import { takeOverSeedTable } from './seed-takeover.ts'
import { type Database, kindOf, openForReading, openForWriting, translateErrors, tryLock } from './sqlite.ts'
import { SqliteStore } from './sqlite-store.ts'
import type { OpenParts, StoreReader } from '../store.ts'

/** A larger database is checked only when its last writer did not close it: the check reads every page. */
const checkedAlwaysBytesMax = 64 * 1024 * 1024

/**
 * Opens the store at `path` as its one writer: takes the lock beside it, makes the schema, or takes a
 * database of the seed project over. Throws OperationError when another consumer has it, or when the
 * database is on a file system that machines share, of a newer schema, somebody else's, or corrupt; it is
 * then as it was. With `mustExist` it makes none, and throws `store_gone` where there is nothing yet.
 */
export function openSqliteStore(path: string, parts: OpenParts): SqliteStore {
  const { clock, log, mustExist = false } = parts
  if (mustExist && sizeOf(path) === 0) throw storeError('store_gone', `there is no ${path} any more`)
  kindOf(path)
  checkPlace(path, log)
  const file = canonicalPath(path)
  const lock = tryLock(`${file}-lock`)
  if (lock === null) throw storeError('store_locked', `another consumer has ${path}`)
  try {
    // This comes before the first look: opening a database recovers it and takes its log away.
    const isSuspect = sizeOf(`${file}-wal`) > 0 || sizeOf(file) <= checkedAlwaysBytesMax
    const database = openForWriting(file, opened => {
      refuseForeign(opened, path)
      if (isSuspect) refuseCorrupt(opened, path)
    })
    return translateErrors(() => {
      makeSchema(database, clock, log)
      const files = new DatabaseFiles(path, database, clock)
      return new SqliteStore(database, parts, () => lock.release(), files)
    })
  } catch (error) {
    lock.release()
    throw error
  }
}

/** Opens the store at `path` to read totals, beside its writer. Throws OperationError. */
export function openSqliteReader(path: string): StoreReader {
  const database = openForReading(path, opened => refuseWithoutTotals(opened, path))
  return translateErrors(() => {
    const total = database.prepare('SELECT value FROM numbers WHERE key = ?').safeIntegers()
    return {
      async total(key) {
        const row = translateErrors(() => total.get(key)) as { value: bigint } | undefined
        return row?.value ?? 0n
      },
      close: async () => void database.close(),
    }
  })
}

/**
 * Throws OperationError where no store could be opened at `path`, as far as that can be known beside a
 * service that runs. Changes nothing.
 */
export function checkDatabase(path: string): void {
  if (path !== databaseOptions.database.fallback) requireFolder(path)
  const found = statSync(path, { throwIfNoEntry: false })
  if (found && (found.size > 0 || !found.isFile()))
    openForReading(path, opened => refuseForeign(opened, path)).close()
  const folder = dirname(resolve(path))
  requireWritable(existsSync(folder) ? folder : dirname(folder))
  if (found) requireWritable(path)
}

/** Throws OperationError. The folder, too: the log of a database lies beside it. */
function requireWritable(path: string): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (error) {
    throw storeError('store_unreadable', `${path} cannot be written`, error)
  }
}

/**
 * Where two names of one database meet, so that both find the same lock. Throws OperationError when there is
 * no folder for it.
 */
export function canonicalPath(path: string): string {
  requireFolder(path)
  try {
    const folder = realpathSync(dirname(resolve(path)))
    return existsSync(path) ? realpathSync(path) : join(folder, basename(path))
  } catch (error) {
    throw storeError('store_unreadable', errorText(error), error)
  }
}

/**
 * Throws OperationError where the folder of a database is not there: most often its name is mistyped, and
 * totals would go where nobody looks for them. Only the default one is made.
 */
function requireFolder(path: string): void {
  const folder = dirname(resolve(path))
  try {
    if (path === databaseOptions.database.fallback) makeFolder(folder)
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return
  } catch (error) {
    throw storeError('store_unreadable', `the folder ${folder} cannot be used`, error)
  }
  throw storeError('store_unreadable', `there is no folder ${folder}; make it, if it is meant`)
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function refuseCorrupt(database: Database, path: string): void {
  const finding = database.pragma('quick_check(1)', { simple: true })
  if (finding !== 'ok') throw storeError('store_corrupt', `${path} is corrupt: ${finding}`)
}

function makeSchema(database: Database, clock: Clock, log: Log): void {
  if (database.pragma('application_id', { simple: true }) === applicationId) {
    migrate(database, log)
    return
  }
  const make = database.transaction(() => {
    const seeded = tableNames(database).includes('numbers')
    if (seeded) database.exec('ALTER TABLE numbers RENAME TO seed_numbers')
    database.exec(schema)
    database.prepare('INSERT INTO store VALUES (?, ?)').run(randomUUID(), clock.nowMs())
    const taken = seeded ? takeOverSeedTable(database, clock) : null
    database.pragma(`application_id = ${applicationId}`)
    database.pragma(`user_version = ${schemaVersion}`)
    return taken
  })
  const taken = make.immediate()
  if (!taken) return
  const isAll = taken.setAsideCount === 0
  if (isAll) log.info({ ...taken }, 'took over the totals of a seed database')
  else log.warn({ ...taken }, 'took over a seed database; what no total can hold is in the table set_aside')
}

/** Takes all steps in one transaction. */
function migrate(database: Database, log: Log): void {
  const from = database.pragma('user_version', { simple: true }) as number
  const steps = migrations.filter(({ version }) => version > from)
  if (steps.length === 0) return
  defineDecimals(database)
  database
    .transaction(() => {
      for (const { sql } of steps) database.exec(sql)
      database.pragma(`user_version = ${schemaVersion}`)
    })
    .immediate()
  const isReadableBefore = steps.every(step => step.isReadableBefore)
  log.info(
    { from, to: schemaVersion, isReadableBefore },
    'brought the database to the schema of this version',
  )
}
