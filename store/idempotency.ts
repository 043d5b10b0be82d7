import type { Batch, KeyedRequest } from '../batch/batch.ts'
import { outcomes } from '../batch/outcomes.ts'

/** The batch and the position in it at which a request with an idempotency key was counted. */
export interface CountedRequest {
  readonly fingerprint: string
  readonly producer: string
  readonly sequence: number
  /** Its position among the keyed requests of that batch, from 0. */
  readonly position: number
}

/** The counted requests by idempotency key, inside one transaction. */
export interface CountedRequests {
  find(idempotencyKey: string): CountedRequest | undefined
  /** Reports whether there is room for one more. */
  hasRoom(): boolean
  add(idempotencyKey: string, request: CountedRequest): void
}

/**
 * Decides about each keyed request of a batch that is being applied: the first with its idempotency key counts,
 * if that can be kept. The outcome codes are in the order of the requests. No clock, no I/O of its own.
 */
export function decideKeyed(
  batch: Batch,
  counted: CountedRequests,
): { codes: string; applied: KeyedRequest[] } {
  const applied: KeyedRequest[] = []
  const { producer, sequence } = batch
  const codes = batch.keyed.map((request, position) => {
    const { idempotencyKey, fingerprint } = request
    const known = counted.find(idempotencyKey)
    if (known !== undefined) return known.fingerprint === fingerprint ? outcomes.duplicate : outcomes.conflict
    if (!counted.hasRoom()) return outcomes.full
    counted.add(idempotencyKey, { fingerprint, producer, sequence, position })
    applied.push(request)
    return outcomes.applied
  })
  return { codes: codes.join(''), applied }
}

/**
 * Returns the outcome codes of a batch that was applied before. Not for a batch with a request that found no
 * room: it left no idempotency key by which to know.
 */
export function recallKeyed(batch: Batch, counted: Pick<CountedRequests, 'find'>): string {
  const { producer, sequence } = batch
  const codes = batch.keyed.map((request, position) => {
    const known = counted.find(request.idempotencyKey)
    // It was forgotten since: whichever request it was that counted, it did.
    if (known === undefined) return outcomes.applied
    const isOwn = known.producer === producer && known.sequence === sequence && known.position === position
    if (isOwn) return outcomes.applied
    return known.fingerprint === request.fingerprint ? outcomes.duplicate : outcomes.conflict
  })
  return codes.join('')
}

/** Counts the requests whose idempotency key was not there before. */
export function newIdempotencyKeysIn(codes: string): number {
  let count = 0
  for (const outcome of codes) if (outcome === outcomes.applied || outcome === outcomes.full) count++
  return count
}
