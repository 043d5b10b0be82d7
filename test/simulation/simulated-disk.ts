import Sqlite from 'better-sqlite3'
import { pino } from 'pino'
import { decodeBatch } from '../../batch/batch.ts'
import { storeError } from '../../store/errors.ts'
import { schema } from '../../store/sqlite/schema.ts'
import { SqliteStore } from '../../store/sqlite/sqlite-store.ts'
import type { CommitRequest, CommitResult, StoreParts } from '../../store/store.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../kit/random.ts'

const log = pino({ level: 'silent' })
const idempotencyWindowMs = 86_400_000

/** A database that outlives the processes that write it. In memory: what is committed is all that matters. */
export class SimulatedDisk {
  #database: Sqlite.Database
  #total: Sqlite.Statement
  /** Idempotency keys that any store on it may keep. */
  keysMax = Number.POSITIVE_INFINITY
  /** Counted by a database that an older one was put in the place of. */
  readonly #undone = new Set<string>()

  /** As it was when `backup` was made; empty without one. */
  constructor(backup?: Buffer) {
    this.#database = new Sqlite(backup ?? ':memory:')
    if (backup === undefined) {
      this.#database.exec(schema)
      this.#database.exec(`INSERT INTO store VALUES ('the store', 0)`)
    }
    this.#database.pragma('synchronous = FULL')
    this.#total = this.#prepareTotal()
  }

  backup(): Buffer {
    return this.#database.serialize()
  }

  /** Nobody may have it open. Answers the keys that were counted and are not any more. */
  restore(backup: Buffer): string[] {
    const before = [...this.totals().keys()]
    this.#database.close()
    this.#database = new Sqlite(backup)
    this.#database.pragma('synchronous = FULL')
    this.#total = this.#prepareTotal()
    const undone = before.filter(key => this.countOf(key) === 0)
    for (const key of undone) this.#undone.add(key)
    return undone
  }

  isUndone(key: string): boolean {
    return this.#undone.has(key)
  }

  parkedProducers(): string[] {
    return this.#database.prepare('SELECT DISTINCT producer FROM parked').pluck().all() as string[]
  }

  parkedKeys(): ReadonlySet<string> {
    const elements = this.#database.prepare('SELECT element FROM parked').pluck().all() as string[]
    return new Set(elements.flatMap(element => decodeBatch(element).keys))
  }

  /** How many increments a producer had sealed, as far as the ledger knows. */
  sealedOf(producer: string): number {
    return this.number(`SELECT sealed FROM producers WHERE producer = '${producer}'`)
  }

  isGivenUp(producer: string, sequence: number): boolean {
    const where = `producer = '${producer}' AND ${sequence} BETWEEN first AND last`
    return this.number(`SELECT count(*) FROM given_up WHERE ${where}`) > 0
  }

  /** How often the key, which was sent with 1, was counted. */
  countOf(key: string): number {
    return (this.#total.get(key) as number | undefined) ?? 0
  }

  totals(): Map<string, bigint> {
    const rows = this.#database.prepare('SELECT key, value FROM numbers').safeIntegers().raw().all()
    return new Map(rows as [string, bigint][])
  }

  number(sql: string): number {
    return Number(this.#database.prepare(sql).pluck().get() ?? 0)
  }

  open(clock: Clock, random: Random, faultProbability: () => number, note: (event: string) => void) {
    const keysMax = () => this.keysMax
    const parts: StoreParts = {
      clock,
      log,
      idempotencyWindowMs,
      get idempotencyKeysMax() {
        return keysMax()
      },
    }
    return new FaultyStore(this.#database, parts, random, faultProbability, note)
  }

  close(): void {
    this.#database.close()
  }

  #prepareTotal(): Sqlite.Statement {
    return this.#database.prepare('SELECT value FROM numbers WHERE key = ?').pluck()
  }
}

/** The store of production, which at times fails before a transaction, or hides that it was committed. */
class FaultyStore extends SqliteStore {
  readonly #random: Random
  readonly #faultProbability: () => number
  readonly #note: (event: string) => void

  constructor(
    database: Sqlite.Database,
    parts: StoreParts,
    random: Random,
    faultProbability: () => number,
    note: (event: string) => void,
  ) {
    super(database, parts, () => {})
    this.#random = random
    this.#faultProbability = faultProbability
    this.#note = note
  }

  override async commit(request: CommitRequest): Promise<CommitResult> {
    const isFaulty = this.#random.chance(this.#faultProbability())
    const code = this.#random.pick(['store_busy', 'store_full', 'store_failed'] as const)
    if (isFaulty && this.#random.chance(0.5)) {
      this.#note(`the store fails: ${code}`)
      throw storeError(code, 'before the transaction')
    }
    const result = await super.commit(request)
    if (isFaulty) {
      this.#note('the store commits, and nobody is told')
      throw storeError('store_failed', 'nobody knows whether it was committed')
    }
    return result
  }
}
