import type { Batch, KeyedRequest } from '../queue/batch.ts'
import { outcomes } from '../queue/queue.ts'
import type { Database, Statement } from './sqlite.ts'

/** Where a request with an idempotency key was counted. */
export interface KnownKey {
  readonly fingerprint: string
  readonly producer: string
  readonly sequence: number
  /** From 0, among the keyed requests of that batch. */
  readonly position: number
}

/** The keys that were counted, inside one transaction. */
export interface KnownKeys {
  find(key: string): KnownKey | undefined
  add(key: string, known: KnownKey): void
}

/**
 * Decides about each keyed request of a batch that is being applied: the first with its key counts. The
 * letters are in their order. No clock, no I/O of its own.
 */
export function decideKeyed(batch: Batch, keys: KnownKeys): { letters: string; applied: KeyedRequest[] } {
  const applied: KeyedRequest[] = []
  const { producer, sequence } = batch
  const letters = batch.keyed.map((request, position) => {
    const { idempotencyKey, fingerprint } = request
    const known = keys.find(idempotencyKey)
    if (known !== undefined) return known.fingerprint === fingerprint ? outcomes.duplicate : outcomes.conflict
    keys.add(idempotencyKey, { fingerprint, producer, sequence, position })
    applied.push(request)
    return outcomes.applied
  })
  return { letters: letters.join(''), applied }
}

/** What was decided about the keyed requests of a batch that was applied before. */
export function recallKeyed(batch: Batch, keys: Pick<KnownKeys, 'find'>): string {
  const { producer, sequence } = batch
  const letters = batch.keyed.map((request, position) => {
    const known = keys.find(request.idempotencyKey)
    // Forgotten since: whichever request it was that counted, it did.
    if (known === undefined) return outcomes.applied
    const isOwn = known.producer === producer && known.sequence === sequence && known.position === position
    if (isOwn) return outcomes.applied
    return known.fingerprint === request.fingerprint ? outcomes.duplicate : outcomes.conflict
  })
  return letters.join('')
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

  decide(batch: Batch, nowMs: number): ReturnType<typeof decideKeyed> {
    return decideKeyed(batch, {
      find: key => this.#known(key),
      add: (key, { fingerprint, producer, sequence, position }) =>
        this.#add.run(key, fingerprint, producer, sequence, position, nowMs),
    })
  }

  recall(batch: Batch): string {
    return recallKeyed(batch, { find: key => this.#known(key) })
  }

  /** Drops up to `countMax` keys that are older than that, the oldest first; answers how many. */
  forget(beforeMs: number, countMax: number): number {
    return this.#forget.run(beforeMs, countMax).changes
  }

  #known(key: string): KnownKey | undefined {
    return this.#find.get(key) as KnownKey | undefined
  }
}
