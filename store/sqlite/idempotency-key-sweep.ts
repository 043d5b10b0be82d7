import type { Clock } from '../../lib/clock.ts'

const intervalMs = 1_000
/** Between two sweeps when more is to be forgotten than one may. */
const behindIntervalMs = 100
/** The time that one sweep may take, whatever else there is to do. */
const budgetMs = 20
/** Keys that are dropped in one transaction: bounds how long a commit waits for it. */
const sweptMin = 1_000
const sweptMax = 10_000

export interface IdempotencyKeySweepParts {
  readonly store: { forgetIdempotencyKeys(beforeMs: number, countMax: number): number }
  readonly clock: Clock
  /** Undefined: they are kept for ever. */
  readonly idempotencyWindowMs: number | undefined
}

/**
 * Forgets the idempotency keys that are older than the window: a little now and then, and twice as many as
 * arrive, so that however fast they come, the table holds those of one window in the end.
 */
export class IdempotencyKeySweep {
  readonly #store: IdempotencyKeySweepParts['store']
  readonly #clock: Clock
  readonly #windowMs: number | undefined
  /** Keys that have to be forgotten for those that came, as far as there are any that old. */
  #owedCount = 0
  #dueMs = Number.NEGATIVE_INFINITY

  constructor({ store, clock, idempotencyWindowMs }: IdempotencyKeySweepParts) {
    this.#store = store
    this.#clock = clock
    this.#windowMs = idempotencyWindowMs
  }

  /** Tells that so many idempotency keys asked for room in the table. */
  arrived(count: number): void {
    this.#owedCount += 2 * count
  }

  /** Sweeps if that is due, and returns whether it was. Throws OperationError; the next call tries again. */
  sweep(): boolean {
    if (this.#windowMs === undefined) return false
    const startedMs = this.#clock.monotonicMs()
    if (startedMs < this.#dueMs && this.#owedCount < sweptMin) return false
    const beforeMs = this.#clock.nowMs() - this.#windowMs
    let owedCount = this.#owedCount
    this.#owedCount = 0
    this.#dueMs = startedMs + intervalMs
    for (;;) {
      const countMax = Math.min(Math.max(owedCount, sweptMin), sweptMax)
      const count = this.#store.forgetIdempotencyKeys(beforeMs, countMax)
      if (count < countMax) return true
      owedCount -= count
      if (owedCount <= 0 && this.#clock.monotonicMs() - startedMs >= budgetMs) break
    }
    this.#dueMs = this.#clock.monotonicMs() + behindIntervalMs
    return true
  }
}
