import type { Batch } from '../../batch/batch.ts'
import { windowBatchesMax } from '../../batch/limits.ts'
import { outcomes } from '../../batch/outcomes.ts'
import { decideKeyed, type CountedRequest, recallKeyed } from '../idempotency.ts'
import type { Database, Statement } from './sqlite.ts'

/** Batches of one producer whose outcomes are kept: more than it may have under way. */
const batchesKeptMax = 2 * windowBatchesMax

/**
 * Knows which requests were counted, by their idempotency keys, inside the caller's transaction: a request
 * and its key are committed together or not at all.
 */
export class IdempotencyKeys {
  readonly #find: Statement
  readonly #add: Statement
  readonly #count: Statement
  readonly #setCount: Statement
  readonly #forget: Statement
  readonly #kept: Statement
  readonly #keep: Statement
  readonly #drop: Statement
  readonly #dropOld: Statement

  constructor(database: Database) {
    const prepare = (sql: string): Statement => database.prepare(sql)
    this.#find = prepare(
      'SELECT fingerprint, producer, sequence, position FROM idempotency_keys WHERE key = ?',
    )
    this.#add = prepare('INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?)')
    this.#count = database.prepare('SELECT count FROM idempotency_key_count').pluck()
    this.#setCount = prepare('UPDATE idempotency_key_count SET count = ?')
    this.#forget = prepare(
      `DELETE FROM idempotency_keys WHERE key IN
        (SELECT key FROM idempotency_keys WHERE applied_ms < ? ORDER BY applied_ms LIMIT ?)`,
    )
    this.#kept = database
      .prepare('SELECT letters FROM refused_requests WHERE producer = ? AND sequence = ?')
      .pluck()
    this.#keep = prepare('INSERT INTO refused_requests VALUES (?, ?, ?, ?)')
    this.#drop = prepare('DELETE FROM refused_requests WHERE producer = ? AND sequence <= ?')
    this.#dropOld = prepare('DELETE FROM refused_requests WHERE refused_ms < ?')
  }

  get count(): number {
    return this.#count.get() as number
  }

  /** Requests whose keys would be more than `countMax` are refused. */
  decide(batch: Batch, nowMs: number, countMax: number): ReturnType<typeof decideKeyed> {
    if (batch.keyed.length === 0) return { codes: '', applied: [] }
    const before = this.count
    let count = before
    const decided = decideKeyed(batch, {
      find: key => this.#known(key),
      hasRoom: () => count < countMax,
      add: (key, { fingerprint, producer, sequence, position }) => {
        this.#add.run(key, fingerprint, producer, sequence, position, nowMs)
        count++
      },
    })
    if (count > before) this.#setCount.run(count)
    if (decided.codes.includes(outcomes.full)) this.#keepCodes(batch, decided.codes, nowMs)
    return decided
  }

  recall(batch: Batch): string {
    const kept = this.#kept.get(batch.producer, batch.sequence) as string | undefined
    return kept ?? recallKeyed(batch, { find: key => this.#known(key) })
  }

  /** Drops up to `countMax` keys that are older than that, the oldest first; returns how many. */
  forget(beforeMs: number, countMax: number): number {
    this.#dropOld.run(beforeMs)
    const { changes } = this.#forget.run(beforeMs, countMax)
    if (changes > 0) this.#setCount.run(this.count - changes)
    return changes
  }

  #known(key: string): CountedRequest | undefined {
    return this.#find.get(key) as CountedRequest | undefined
  }

  /** Until the producer has heard, which it has when it sends a batch that is far behind this one. */
  #keepCodes({ producer, sequence }: Batch, codes: string, nowMs: number): void {
    this.#drop.run(producer, sequence - batchesKeptMax)
    this.#keep.run(producer, sequence, codes, nowMs)
  }
}
