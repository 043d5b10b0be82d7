import type { Clock, Timer } from '../../lib/clock.ts'
import type { Position } from '../../queue/queue.ts'

export const acks = ['memory', 'queued', 'committed'] as const
/** The promise of an answer: the sums are in memory, the queue has them, the store has them. */
export type Ack = (typeof acks)[number]

/** The increments of one accumulator, which become batches together. */
export interface FlushCohort {
  /** The sequence number of its last batch; null until all of it is sealed. */
  sequenceLast: number | null
}

/** Acks that a request may wait for; `keyed` is `committed` for one with an idempotency key. */
export type AwaitedAck = 'queued' | 'committed' | 'keyed'

/** A callback that receives how far the increments came, and what the queue said last. */
export type Settle = (reached: Ack, position: Position) => void

interface Waiter {
  readonly ack: AwaitedAck
  readonly cohort: FlushCohort
  readonly deadlineMs: number
  readonly settle: Settle
}

/**
 * The requests that wait until their increments have come as far as they asked. All wait equally long, and
 * increments become batches in the order in which they came: the first to come is always the next.
 */
export class AckWaiters {
  readonly #clock: Clock
  readonly #timeoutMs: number
  /**
   * Waiting requests by what they wait for, in the order in which they came. Keyed ones have a set of their
   * own: each waits for its own batch, which may be before the last of its cohort.
   */
  readonly #waiters = { queued: new Set<Waiter>(), committed: new Set<Waiter>(), keyed: new Set<Waiter>() }
  #position: Position = { pushed: 0, applied: 0, outcomes: new Map() }
  /**
   * Requests beyond the first of those that wait together, and are told together. The code that gathers them
   * counts them here.
   */
  companionCount = 0
  /** Null while nobody waits. */
  #timer: Timer | null = null

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  get count(): number {
    const { queued, committed, keyed } = this.#waiters
    return queued.size + committed.size + keyed.size + this.companionCount
  }

  /**
   * Calls `settle` once, later, with how far the cohort has come: as far as was asked, or less when the
   * time is over. Returns how to stop waiting, after which `settle` is not called.
   */
  add(ack: AwaitedAck, cohort: FlushCohort, settle: Settle): () => void {
    const deadlineMs = this.#clock.monotonicMs() + this.#timeoutMs
    const waiter: Waiter = { ack, cohort, deadlineMs, settle }
    this.#waiters[ack].add(waiter)
    this.#timer ??= this.#clock.after(this.#timeoutMs, () => this.#expire())
    return () => this.#waiters[ack].delete(waiter)
  }

  /** Must be called with whatever the queue says of the producer. */
  progress(position: Position): void {
    this.#position = position
    for (const waiters of Object.values(this.#waiters)) {
      for (const waiter of waiters) {
        if (!this.#hasReached(waiter.cohort, waiter.ack === 'queued' ? 'queued' : 'committed')) break
        this.#settle(waiter)
      }
    }
  }

  #hasReached({ sequenceLast }: FlushCohort, ack: Ack): boolean {
    if (ack === 'memory') return true
    if (sequenceLast === null) return false
    const { pushed, applied } = this.#position
    return sequenceLast <= (ack === 'queued' ? Math.max(pushed, applied) : applied)
  }

  #settle(waiter: Waiter): void {
    this.#waiters[waiter.ack].delete(waiter)
    const reached = acks.findLast(ack => this.#hasReached(waiter.cohort, ack))
    waiter.settle(reached ?? 'memory', this.#position)
  }

  #expire(): void {
    const now = this.#clock.monotonicMs()
    let nextMs = Number.POSITIVE_INFINITY
    for (const waiters of Object.values(this.#waiters)) {
      for (const waiter of waiters) {
        if (waiter.deadlineMs > now) {
          nextMs = Math.min(nextMs, waiter.deadlineMs)
          break
        }
        this.#settle(waiter)
      }
    }
    this.#timer =
      nextMs < Number.POSITIVE_INFINITY ? this.#clock.after(nextMs - now, () => this.#expire()) : null
  }
}
