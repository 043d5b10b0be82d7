import type { KeyedRequest } from '../../batch/batch.ts'
import { outcomes } from '../../batch/outcomes.ts'
import type { ProblemCode } from '../parse/problems.ts'

/** The store's decision about a request: why it was refused, or else its result, where it is known. */
export type Decision =
  | { readonly code: ProblemCode }
  | { readonly code: null; readonly result: 'applied' | 'duplicate' | undefined }

/** The requests with an idempotency key that wait here until the store has decided about them. */
export class KeyedRequests {
  /** Fingerprints, by idempotency key. */
  readonly #inFlight = new Map<string, string>()

  /** Returns why this request is not taken; null when it may be. */
  refusalOf({ idempotencyKey, fingerprint }: KeyedRequest): ProblemCode | null {
    const inFlight = this.#inFlight.get(idempotencyKey)
    if (inFlight === undefined) return null
    return inFlight === fingerprint ? 'idempotency_key_in_flight' : 'idempotency_key_reused'
  }

  begin({ idempotencyKey, fingerprint }: KeyedRequest): void {
    this.#inFlight.set(idempotencyKey, fingerprint)
  }

  /** Nobody waits for it any more: should it come again, the store knows its idempotency key. */
  end({ idempotencyKey }: KeyedRequest): void {
    this.#inFlight.delete(idempotencyKey)
  }

  /** `outcome` is one of `outcomes`, or undefined while nothing is known: to ask again is safe, and tells. */
  decided(outcome: string | undefined): Decision {
    if (outcome === outcomes.conflict) return { code: 'idempotency_key_reused' }
    if (outcome === outcomes.full) return { code: 'idempotency_keys_full' }
    const result =
      outcome === outcomes.applied ? 'applied' : outcome === outcomes.duplicate ? 'duplicate' : undefined
    return { code: null, result }
  }
}
