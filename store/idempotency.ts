import type { Batch, KeyedRequest } from '../batch/batch.ts'
import { outcomes } from '../batch/outcomes.ts'

/** The place at which a request with an idempotency key was counted. */
export interface KnownKey {
  readonly fingerprint: string
  readonly producer: string
  readonly sequence: number
  /** Its position among the keyed requests of that batch, from 0. */
  readonly position: number
}

/** The keys that were counted, inside one transaction. */
export interface KnownKeys {
  find(key: string): KnownKey | undefined
  /** Reports whether there is room for one more. */
  hasRoom(): boolean
  add(key: string, known: KnownKey): void
}

/**
 * Decides about each keyed request of a batch that is being applied: the first with its key counts, if its
 * key can be kept. The codes are in their order. No clock, no I/O of its own.
 */
export function decideKeyed(batch: Batch, keys: KnownKeys): { codes: string; applied: KeyedRequest[] } {
  const applied: KeyedRequest[] = []
  const { producer, sequence } = batch
  const codes = batch.keyed.map((request, position) => {
    const { idempotencyKey, fingerprint } = request
    const known = keys.find(idempotencyKey)
    if (known !== undefined) return known.fingerprint === fingerprint ? outcomes.duplicate : outcomes.conflict
    if (!keys.hasRoom()) return outcomes.full
    keys.add(idempotencyKey, { fingerprint, producer, sequence, position })
    applied.push(request)
    return outcomes.applied
  })
  return { codes: codes.join(''), applied }
}

/**
 * What was decided about the keyed requests of a batch that was applied before. Not for a batch with one that
 * found no room: it left no key by which to know.
 */
export function recallKeyed(batch: Batch, keys: Pick<KnownKeys, 'find'>): string {
  const { producer, sequence } = batch
  const codes = batch.keyed.map((request, position) => {
    const known = keys.find(request.idempotencyKey)
    // Forgotten since: whichever request it was that counted, it did.
    if (known === undefined) return outcomes.applied
    const isOwn = known.producer === producer && known.sequence === sequence && known.position === position
    if (isOwn) return outcomes.applied
    return known.fingerprint === request.fingerprint ? outcomes.duplicate : outcomes.conflict
  })
  return codes.join('')
}

/** Counts the requests whose idempotency key was not there before. */
export function newKeysIn(codes: string): number {
  let count = 0
  for (const outcome of codes) if (outcome === outcomes.applied || outcome === outcomes.full) count++
  return count
}
