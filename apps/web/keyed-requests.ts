import type { Clock } from '../../lib/clock.ts'
import type { KeyedRequest } from '../../queue/batch.ts'
import { outcomes } from '../../queue/queue.ts'
import type { ProblemCode } from './problems.ts'

/** For so long after the store refused a key for want of room no other is taken. As `Retry-After` says. */
const fullMs = 1_000

/** What the store made of a request: why it was refused, or else its result, where it is known. */
export type Decision =
  | { readonly code: ProblemCode }
  | { readonly code: null; readonly result: 'applied' | 'duplicate' | undefined }

/** The requests with an idempotency key that wait here until the store has decided about them. */
export class KeyedRequests {
  readonly #clock: Clock
  /** Fingerprints, by idempotency key. */
  readonly #inFlight = new Map<string, string>()
  #fullUntilMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Why this request is not taken; null when it may be. */
  refusalOf({ idempotencyKey, fingerprint }: KeyedRequest): ProblemCode | null {
    const inFlight = this.#inFlight.get(idempotencyKey)
    if (inFlight !== undefined)
      return inFlight === fingerprint ? 'idempotency_key_in_flight' : 'idempotency_key_reused'
    return this.#clock.monotonicMs() < this.#fullUntilMs ? 'idempotency_keys_full' : null
  }

  begin({ idempotencyKey, fingerprint }: KeyedRequest): void {
    this.#inFlight.set(idempotencyKey, fingerprint)
  }

  /** Nobody waits for it any more: the store knows it, should it come again, by its key. */
  end({ idempotencyKey }: KeyedRequest): void {
    this.#inFlight.delete(idempotencyKey)
  }

  /** `letter` is one of `outcomes`, or undefined while nothing is known: to ask again is safe, and tells. */
  decided(letter: string | undefined): Decision {
    if (letter === outcomes.conflict) return { code: 'idempotency_key_reused' }
    if (letter === outcomes.full) {
      this.#fullUntilMs = this.#clock.monotonicMs() + fullMs
      return { code: 'idempotency_keys_full' }
    }
    const result =
      letter === outcomes.applied ? 'applied' : letter === outcomes.duplicate ? 'duplicate' : undefined
    return { code: null, result }
  }
}
