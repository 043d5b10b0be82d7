import type { BatchId } from '../../batch/batch.ts'
import type { DatabaseFiles } from './database-files.ts'
import { Maintenance } from './maintenance.ts'
import { publishStoreMetrics } from './metrics.ts'
import { assertDurable, checkpoint, type Database, logBytes, translateErrors } from './sqlite.ts'
import type { Account, CommitRequest, CommitResult, Store, StoreParts, Watermarks } from '../store.ts'
import { Tables } from './tables.ts'

/** A database in memory has no files to check. */
const noFiles: Pick<DatabaseFiles, 'check'> = { check: () => {} }

/**
 * The store in a SQLite database that has our schema; see `openSqliteStore`. SQLite is called in the caller's
 * thread, which waits for it: each promise is settled when it is returned, and other work of the process is
 * done between two calls.
 */
export class SqliteStore implements Store {
  readonly id: string
  readonly #database: Database
  readonly #parts: StoreParts
  readonly #tables: Tables
  readonly #maintenance: Maintenance
  readonly #onClose: () => void
  readonly #files: Pick<DatabaseFiles, 'check'>
  readonly #pageBytes: number
  #checkedDurable = false

  constructor(database: Database, parts: StoreParts, onClose: () => void, files = noFiles) {
    const { clock, log, metrics, idempotencyWindowMs } = parts
    this.#database = database
    this.#parts = parts
    this.#onClose = onClose
    this.#files = files
    this.#tables = new Tables(database)
    const checkpointed = metrics ? publishStoreMetrics(metrics, this) : () => {}
    this.#maintenance = new Maintenance({ store: this, clock, log, checkpointed, idempotencyWindowMs })
    this.#pageBytes = database.pragma('page_size', { simple: true }) as number
    this.id = (database.prepare('SELECT id FROM store').get() as { id: string }).id
  }

  async commit(request: CommitRequest): Promise<CommitResult> {
    return translateErrors(() => {
      const { clock, idempotencyKeysMax = Number.POSITIVE_INFINITY } = this.#parts
      const now = clock.nowMs()
      const work = () => this.#tables.write(request, now, idempotencyKeysMax)
      const { result, newIdempotencyKeyCount } = this.#transaction(work)
      if (!this.#checkedDurable) assertDurable(this.#database)
      this.#checkedDurable = true
      this.#maintenance.committed(newIdempotencyKeyCount)
      return result
    })
  }

  async watermarks(): Promise<Watermarks> {
    return translateErrors(() => {
      const { producers } = this.#tables
      return { applied: producers.watermarks(), givenUp: producers.allGivenUp() }
    })
  }

  async parked(): Promise<BatchId[]> {
    return translateErrors(() => this.#tables.parked.all())
  }

  async account(): Promise<Account> {
    return translateErrors(() => this.#tables.producers.account())
  }

  async acceptLoss(watermarks: ReadonlyMap<string, number>): Promise<void> {
    const now = this.#parts.clock.nowMs()
    this.#transaction(() => {
      for (const [producer, watermark] of watermarks)
        this.#tables.producers.giveUpTo(producer, watermark, now)
    })
  }

  async maintain(when: 'busy' | 'idle'): Promise<string[]> {
    translateErrors(() => this.#files.check())
    return this.#maintenance.run(when)
  }

  async close(): Promise<void> {
    try {
      this.#files.check()
    } catch {
      // The check has emptied the log, which would corrupt another database at the path.
    }
    this.#database.close()
    this.#onClose()
  }

  /** Drops up to `countMax` idempotency keys that were applied before `beforeMs`; returns how many. */
  forgetIdempotencyKeys(beforeMs: number, countMax: number): number {
    return this.#transaction(() => this.#tables.idempotencyKeys.forget(beforeMs, countMax))
  }

  /** The number of idempotency keys that are kept. */
  idempotencyKeyCount(): number {
    return translateErrors(() => this.#tables.idempotencyKeys.count)
  }

  /**
   * Moves what is committed from the write-ahead log into the database file, as far as nobody reads what is
   * there; never waits for readers. `empty` takes the log's space away, too. Returns whether all was done.
   */
  checkpoint(what: 'copy' | 'empty'): boolean {
    return translateErrors(() => checkpoint(this.#database, what === 'copy' ? 'PASSIVE' : 'TRUNCATE') === 0)
  }

  /** Bytes that are committed and not yet in the database file. */
  uncopiedBytes(): number {
    return translateErrors(() => checkpoint(this.#database, 'NOOP') * this.#pageBytes)
  }

  /** Size of the write-ahead log on the disk: it is used again from its start once all of it was copied. */
  logBytes(): number {
    return logBytes(this.#database)
  }

  /** IMMEDIATE: the watermarks that are read inside are those that the writes go with. */
  #transaction<T>(work: () => T): T {
    return translateErrors(() => {
      this.#files.check()
      const result = this.#database.transaction(work).immediate()
      // Nobody is told of a commit to a file that has lost its name.
      this.#files.check()
      return result
    })
  }
}
