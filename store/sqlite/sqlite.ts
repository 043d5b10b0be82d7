import { type Stats, statSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { assert } from '../../lib/assert.ts'
import { errorText } from '../../lib/errors.ts'
import { classifyError } from './errors.ts'
import { storeError } from '../errors.ts'

export type Database = Sqlite.Database
export type Statement<Parameters extends unknown[] = unknown[], Row = unknown> = Sqlite.Statement<
  Parameters,
  Row
>

/** The time a statement waits for another program's lock before it fails with `store_busy`. */
const busyTimeoutMs = 1_000
/** The size that the log is cut to once it is used again from its start. */
const walBytesKept = 64 * 1024 * 1024
/** A net: the consumer copies the log earlier and outside commits; see checkpoints.ts. */
const walPagesMax = 32_768
/**
 * For pages of the database, SQLite's own beside those of the operating system: inner pages stay, and leaves
 * are visited in order. More was no faster at a million keys, see docs/decisions/store.md.
 */
const cacheKibibytes = 16_384

/**
 * Opens the database for its one writer, and makes it if need be, in a folder that exists. Every commit is
 * on the disk when it returns (`synchronous=FULL`). `check` looks at the database before anything in it is
 * changed, and throws to leave it as it is. Throws OperationError.
 */
export function openForWriting(path: string, check: (database: Database) => void): Database {
  return translateErrors(() => {
    const database = new Sqlite(path, { timeout: busyTimeoutMs })
    try {
      check(database)
      const mode = database.pragma('journal_mode = WAL', { simple: true })
      if (mode !== 'wal')
        throw storeError('store_unreadable', `${path} cannot be put into WAL mode, it is in ${mode} mode`)
      database.pragma('synchronous = FULL')
      database.pragma(`journal_size_limit = ${walBytesKept}`)
      database.pragma(`wal_autocheckpoint = ${walPagesMax}`)
      database.pragma(`cache_size = -${cacheKibibytes}`)
      database.pragma('foreign_keys = ON')
      return database
    } catch (error) {
      database.close()
      throw asForeign(path, error)
    }
  }, path)
}

/**
 * The build's default is weaker and comes back at the first write in WAL mode unless FULL was set; so look
 * after it.
 */
export function assertDurable(database: Database): void {
  assert(database.pragma('synchronous', { simple: true }) === 2, 'synchronous is not FULL')
}

/**
 * Copies the write-ahead log into the database, or only looks (NOOP); with TRUNCATE the log becomes empty.
 * Does not wait for readers. Returns how many pages are still to be copied; 1 at least when the log could not
 * be emptied.
 */
export function checkpoint(database: Database, mode: 'NOOP' | 'PASSIVE' | 'TRUNCATE'): number {
  if (mode === 'TRUNCATE') database.pragma('busy_timeout = 0')
  try {
    const [result] = database.pragma(`wal_checkpoint(${mode})`) as CheckpointResult[]
    const { busy, log, checkpointed } = result!
    return Math.max(busy, log - checkpointed)
  } finally {
    if (mode === 'TRUNCATE') database.pragma(`busy_timeout = ${busyTimeoutMs}`)
  }
}

interface CheckpointResult {
  /** 1 when somebody else kept it from being done. */
  readonly busy: number
  /** Pages in the log. */
  readonly log: number
  readonly checkpointed: number
}

/** Looks at the name alone: to open and close a file of the database by other means would drop its locks. */
export function logBytes(database: Database): number {
  return statSync(`${database.name}-wal`, { throwIfNoEntry: false })?.size ?? 0
}

/** Returns the bytes of the log that SQLite goes by: its header, and each page with a header. */
export function logBytesInUse(database: Database): number {
  const [result] = database.pragma('wal_checkpoint(NOOP)') as CheckpointResult[]
  const pageBytes = database.pragma('page_size', { simple: true }) as number
  return result!.log === 0 ? 0 : 32 + result!.log * (24 + pageBytes)
}

/**
 * Opens the database to look at it, beside its writer. Never makes one. `check` throws when it is not what
 * the caller wants to read. Throws OperationError.
 */
export function openForReading(path: string, check: (database: Database) => void): Database {
  return translateErrors(() => {
    if (kindOf(path) === 'nothing') throw storeError('store_unreadable', `there is no database at ${path}`)
    const database = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: busyTimeoutMs })
    try {
      check(database)
      return database
    } catch (error) {
      database.close()
      throw asForeign(path, error)
    }
  }, path)
}

/** Looks at the name alone, before SQLite waits for a pipe or reads a folder. Throws OperationError. */
export function kindOf(path: string): 'file' | 'nothing' {
  let found: Stats | undefined
  try {
    found = statSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw storeError('store_unreadable', errorText(error), error)
  }
  if (found === undefined) return 'nothing'
  if (!found.isFile())
    throw storeError('store_unknown', `${path} is ${found.isDirectory() ? 'a folder' : 'no file'}`)
  return 'file'
}

/** Adds the path to what SQLite says of a file that never was a database; leaves any other error as it is. */
function asForeign(path: string, error: unknown): unknown {
  if ((error as { code?: unknown }).code !== 'SQLITE_NOTADB') return error
  return storeError('store_unknown', `${path} is no SQLite database, or its first page is damaged`)
}

/** Held until it is released or the process ends, however that happens. */
export interface Lock {
  release(): void
}

/**
 * Takes an exclusive lock that the operating system drops with the process: SQLite's own, on a file that
 * exists for nothing else. Returns null when another process has it.
 */
export function tryLock(path: string): Lock | null {
  return translateErrors(() => {
    const database = new Sqlite(path, { timeout: 0 })
    try {
      database.pragma('locking_mode = EXCLUSIVE')
      database.exec('BEGIN EXCLUSIVE')
    } catch (error) {
      database.close()
      if ((error as { code?: string }).code?.startsWith('SQLITE_BUSY')) return null
      throw error
    }
    return { release: () => database.close() }
  }, path)
}

/** Runs `work` and turns what SQLite throws into OperationErrors, which name the path where one is given. */
export function translateErrors<T>(work: () => T, path?: string): T {
  try {
    return work()
  } catch (error) {
    throw classifyError(error, path)
  }
}
