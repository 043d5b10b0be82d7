import { type BigIntStats, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { storeError } from '../errors.ts'
import { checkpoint, type Database, logBytes, logBytesInUse } from './sqlite.ts'

/** The files beside the database: the write-ahead log, and an index of it that programs share. */
const suffixes = ['-wal', '-shm'] as const

/** A file that is being copied to the path grows all the time. */
const settledAfterMs = 1_000

/**
 * Checks that the files of an open database are still those at its path. SQLite goes on without a word in
 * files that have no name any more. It looks at names alone: to open and close one of the files by other means
 * would drop SQLite's locks.
 */
export class DatabaseFiles {
  readonly #database: Database
  readonly #path: string
  readonly #clock: Clock
  readonly #opened: Identity
  readonly #beside: ReadonlyMap<string, Identity>
  #bytes: bigint
  #logBytes: number
  /** Another file that was found at the path, and since when it is so; null while there is none. */
  #other: { readonly found: BigIntStats; readonly sinceMs: number } | null = null

  /** `path` as it was given: a link in it may lead elsewhere one day. */
  constructor(path: string, database: Database, clock: Clock) {
    this.#database = database
    this.#clock = clock
    this.#path = resolve(path)
    const found = look(this.#path)
    this.#opened = identityOf(found)
    this.#bytes = found?.size ?? 0n
    this.#logBytes = logBytes(database)
    this.#beside = new Map(suffixes.map(suffix => [suffix, this.#identityBeside(suffix)]))
  }

  /**
   * Throws OperationError: `store_gone` while there is nothing at the path, or what is there is being
   * written; `store_replaced` when a process that opens what is there can go on. Before that it moves what is
   * committed into the database that it has open, wherever that is now: whoever opens another database beside
   * its log would corrupt that.
   */
  check(): void {
    const found = look(this.#path)
    const isOpened = found !== null && identityOf(found) === this.#opened
    const strange = suffixes.find(suffix => this.#identityBeside(suffix) !== this.#beside.get(suffix))
    if (isOpened && strange === undefined) {
      this.#other = null
      this.#refuseCutOff(found.size)
      this.#refuseCutOffLog()
      return
    }
    const isSaved = checkpoint(this.#database, isOpened ? 'PASSIVE' : 'TRUNCATE') === 0
    if (found === null) throw storeError('store_gone', `there is no ${this.#path} any more`)
    if (!isSaved) throw storeError('store_gone', `${this.#path}: a reader keeps its log from being saved`)
    if (isOpened) throw storeError('store_replaced', `${this.#path}${strange} was removed or replaced`)
    if (!this.#hasSettled(found)) throw storeError('store_gone', `${this.#path} is being replaced`)
    throw storeError('store_replaced', `${this.#path} is another file now`)
  }

  /** VACUUM of another program makes it smaller, too, but leaves a place for each page. */
  #refuseCutOff(bytes: bigint): void {
    const isSmaller = bytes < this.#bytes
    this.#bytes = bytes
    if (!isSmaller) return
    const pragma = (name: string) => BigInt(this.#database.pragma(name, { simple: true }) as number)
    if (pragma('page_count') * pragma('page_size') > bytes)
      throw storeError('store_replaced', `${this.#path} was cut off`)
  }

  /** SQLite and other programs make it smaller, too, but leave what is not in the database yet. */
  #refuseCutOffLog(): void {
    const bytes = logBytes(this.#database)
    const isSmaller = bytes < this.#logBytes
    this.#logBytes = bytes
    if (isSmaller && logBytesInUse(this.#database) > bytes)
      throw storeError('store_replaced', `${this.#path}-wal was cut off`)
  }

  /** Reports whether there is something in it, and it has not changed for a while. */
  #hasSettled(found: BigIntStats): boolean {
    const now = this.#clock.monotonicMs()
    const before = this.#other?.found
    const isSame = before?.ino === found.ino && before.size === found.size && before.mtimeNs === found.mtimeNs
    if (!isSame) this.#other = { found, sinceMs: now }
    return found.isFile() && found.size > 0n && now - this.#other!.sinceMs >= settledAfterMs
  }

  #identityBeside(suffix: string): Identity {
    return identityOf(look(`${this.#database.name}${suffix}`))
  }
}

/** Device and inode; null of a file that is not there. */
type Identity = string | null

function identityOf(found: BigIntStats | null): Identity {
  return found === null ? null : `${found.dev} ${found.ino}`
}

/** Null when it is not there, or cannot be looked at, which is no better. */
function look(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true })
  } catch {
    return null
  }
}
