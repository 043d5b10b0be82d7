import type { Batch, KeyedRequest } from '../queue/batch.ts'
import { outcomes } from '../queue/queue.ts'
import type { Database, Statement } from './sqlite.ts'

interface Row {
  readonly fingerprint: string
  readonly producer: string
  readonly sequence: number
  readonly position: number
}

/**
 * Knows which requests were counted, by their idempotency keys, inside the caller's transaction: a request
 * and its key are committed together or not at all.
 */
export class IdempotencyKeys {
  readonly #find: Statement
  readonly #add: Statement
  readonly #forget: Statement

  constructor(database: Database) {
    this.#find = database.prepare(
      'SELECT fingerprint, producer, sequence, position FROM idempotency_keys WHERE key = ?',
    )
    this.#add = database.prepare('INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?)')
    this.#forget = database.prepare(
      `DELETE FROM idempotency_keys WHERE key IN
        (SELECT key FROM idempotency_keys WHERE applied_ms < ? ORDER BY applied_ms LIMIT ?)`,
    )
  }

  /** Decides about each keyed request of a batch that is being applied; the letters are in their order. */
  decide(batch: Batch, nowMs: number): { letters: string; applied: KeyedRequest[] } {
    const applied: KeyedRequest[] = []
    const { producer, sequence } = batch
    const letters = batch.keyed.map((request, position) => {
      const known = this.#find.get(request.idempotencyKey) as Row | undefined
      if (known !== undefined)
        return known.fingerprint === request.fingerprint ? outcomes.duplicate : outcomes.conflict
      this.#add.run(request.idempotencyKey, request.fingerprint, producer, sequence, position, nowMs)
      applied.push(request)
      return outcomes.applied
    })
    return { letters: letters.join(''), applied }
  }

  /** What was decided about the keyed requests of a batch that was applied before. */
  recall({ producer, sequence, keyed }: Batch): string {
    const letters = keyed.map((request, position) => {
      const known = this.#find.get(request.idempotencyKey) as Row | undefined
      // Forgotten since: whichever request it was that counted, it did.
      if (known === undefined) return outcomes.applied
      const isOwn = known.producer === producer && known.sequence === sequence && known.position === position
      if (isOwn) return outcomes.applied
      return known.fingerprint === request.fingerprint ? outcomes.duplicate : outcomes.conflict
    })
    return letters.join('')
  }

  /** Drops up to `countMax` keys that are older than that, the oldest first; answers how many. */
  forget(beforeMs: number, countMax: number): number {
    return this.#forget.run(beforeMs, countMax).changes
  }
}
