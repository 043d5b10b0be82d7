import { type Clock, sleep } from '../lib/clock.ts'
import { Doze } from '../lib/doze.ts'
import { OperationError } from '../lib/errors.ts'
import { type Log, RepeatedError } from '../lib/log.ts'
import type { Readiness } from '../lib/status-server.ts'
import { queueErrors } from '../queue/errors.ts'
import type { ConsumerQueue } from '../queue/queue.ts'
import type { Applied, Store } from '../store/store.ts'
import { Checkpoints } from './checkpoints.ts'
import type { Courtesy } from './courtesy.ts'
import type { GoneProducers } from './gone-producers.ts'
import type { ConsumerMetrics } from './metrics.ts'
import type { Prepared } from './preparation.ts'
import { Reader, type ReadingParts, type Taken, usualReading } from './reader.ts'

/** How long the consumer sleeps when the list is empty and no hint comes: longer and longer. */
const idlePollMsMin = 50
const idlePollMsMax = 400
const retryDelayMs = { soon: 100, later: 1_000 } as const
const forgetIntervalMs = 60_000
/** The queue remembers a silent producer for a day; see ConsumerQueue.forget. */
const forgetAfterMs = 86_400_000
/** Idempotency keys that are dropped in one transaction; the next ones in the next round. */
const keysForgottenMax = 1_000
const keysForgetIntervalMs = 1_000

interface Round {
  /**
   * `busy` when there may be more to do at once, `idle` when there is nothing, else how to go on after an
   * error.
   */
  readonly outcome: 'busy' | 'idle' | keyof typeof retryDelayMs
  readonly elementCount: number
}

export interface ConsumerParts {
  readonly queue: ConsumerQueue
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly metrics: ConsumerMetrics
  readonly gone: GoneProducers
  /** How long an idempotency key is kept. */
  readonly idempotencyWindowMs: number
  readonly reading?: ReadingParts
  /** None: it never leaves the core to others. */
  readonly courtesy?: Courtesy
}

/**
 * The one reader of a shard. Each round: read batches without removing them, apply them in one transaction,
 * then tell the queue what is committed, which removes them. Whatever fails in between is done again and
 * skipped by the store. While the list is long, the next batches are prepared during the transaction.
 *
 *     idle ── batches ──▶ applying ──▶ publishing ──▶ idle
 *      │                     │             │
 *      └──────── an error that may pass: wait, then idle
 */
export class Consumer {
  readonly #parts: ConsumerParts
  readonly #queueError: RepeatedError
  readonly #storeError: RepeatedError
  #stopRequested = false
  #running: Promise<void> | null = null
  /** Until something is pushed. */
  readonly #doze: Doze
  readonly #reader: Reader
  readonly #checkpoints: Checkpoints
  #forgotAtMs = 0
  #keysForgottenMs = Number.NEGATIVE_INFINITY

  constructor(parts: ConsumerParts) {
    this.#parts = parts
    this.#reader = new Reader(parts.queue, parts.reading ?? usualReading(parts.log))
    this.#checkpoints = new Checkpoints(parts.store, parts.clock, parts.metrics)
    this.#queueError = new RepeatedError(parts.log, parts.clock, 'the queue cannot be read')
    this.#storeError = new RepeatedError(parts.log, parts.clock, 'batches cannot be committed')
    this.#doze = new Doze(parts.clock)
    parts.queue.onPushed(() => this.#doze.hint())
  }

  readiness(): Readiness {
    const reasons: string[] = []
    if (this.#queueError.code !== null) reasons.push(`the queue cannot be read: ${this.#queueError.code}`)
    if (this.#storeError.code !== null) reasons.push(`batches cannot be committed: ${this.#storeError.code}`)
    return { reasons }
  }

  /**
   * Resolves when `stop` has been called and the queue is empty; rejects on an error that needs a fresh
   * process.
   */
  run(): Promise<void> {
    this.#running ??= this.#loop().finally(() => this.#reader.close())
    return this.#running
  }

  /**
   * Works off what is in the queue now and ends the loop. Does not wait for a queue or a store that is
   * away: batches stay in the queue then.
   */
  async stop(): Promise<void> {
    this.#stopRequested = true
    this.#doze.hint()
    await this.#running
  }

  async #loop(): Promise<void> {
    /** Elements that were in the list when the stop was requested; null before that. */
    let remaining: number | null = null
    let idlePollMs = idlePollMsMin
    for (;;) {
      if (this.#stopRequested) remaining ??= await this.#parts.queue.length().catch(() => 0)
      const { outcome, elementCount } = await this.#round()
      this.#forgetIdempotencyKeys()
      if (remaining !== null) {
        remaining -= elementCount
        if (outcome !== 'busy' || remaining <= 0) return
      }
      if (elementCount > 0) idlePollMs = idlePollMsMin
      if (outcome === 'idle') {
        await this.#doze.sleep(idlePollMs)
        this.#parts.courtesy?.begin()
        idlePollMs = Math.min(2 * idlePollMs, idlePollMsMax)
      } else if (outcome !== 'busy') await sleep(this.#parts.clock, retryDelayMs[outcome])
    }
  }

  async #round(): Promise<Round> {
    const { queue, gone } = this.#parts
    let taken: Taken
    let ahead: Taken | null
    let producersGone: ReadonlySet<string>
    const isLookDue = gone.isLookDue()
    try {
      ;({ taken, ahead } = await this.#reader.take())
      producersGone = isLookDue ? await gone.look(queue) : new Set()
      this.#queueError.over()
    } catch (error) {
      return this.#failed(error, this.#queueError)
    }
    const elementCount = taken.elements.length
    if (elementCount === 0 && !isLookDue) {
      await this.#forget()
      this.#checkpoint('idle')
      return { outcome: 'idle', elementCount }
    }
    let prepared: Prepared
    try {
      prepared = await taken.prepared
    } catch (error) {
      return this.#failed(error, this.#queueError)
    }
    let applied: Applied
    try {
      applied = this.#apply(prepared, taken, producersGone)
      this.#storeError.over()
    } catch (error) {
      return this.#failed(error, this.#storeError)
    }
    gone.watch(applied.parked)
    try {
      const { watermarks, parked, outcomes } = applied
      const discarded = prepared.rejected.map(({ element }) => element)
      await queue.publish({ watermarks, parked, outcomes, discarded })
    } catch (error) {
      return this.#failed(error, this.#queueError)
    }
    this.#checkpoint('published')
    this.#reader.published(ahead)
    return { outcome: elementCount > 0 ? 'busy' : 'idle', elementCount }
  }

  #apply(prepared: Prepared, { bytes, isFull }: Taken, gone: ReadonlySet<string>): Applied {
    const { store, clock, log, metrics } = this.#parts
    // With more waiting behind these, there is no time for it.
    const courtesy = isFull ? undefined : this.#parts.courtesy
    courtesy?.begin()
    const startedMs = clock.monotonicMs()
    const applied = store.apply({ ...prepared, gone, pause: courtesy && (() => courtesy.pause()) })
    const [ms, now] = [clock.monotonicMs() - startedMs, clock.nowMs()]
    this.#reader.committed({ bytes, ms, ageMs: now - (applied.applied[0]?.oldestMs ?? now) })
    metrics.committed(applied, now, ms, prepared.rejected.length)
    courtesy?.pause()
    const corrupt = { code: 'batch_corrupt', hint: queueErrors.batch_corrupt.hint }
    for (const { reason } of prepared.rejected) log.error({ ...corrupt, reason }, 'element rejected')
    for (const [producer, increments] of applied.lost)
      log.error({ producer, increments }, 'increments lost: their producer and the queue both lost them')
    if (applied.setAsideCount > 0)
      log.error({ sumCount: applied.setAsideCount }, 'sums set aside: a total would leave 64 bits')
    if (applied.applied.length > 0)
      log.debug({ batchCount: applied.applied.length, rowCount: applied.rowCount }, 'batches committed')
    return applied
  }

  #failed(error: unknown, repeated: RepeatedError): Round {
    if (!(error instanceof OperationError)) throw error
    const { retry } = error.policy
    if (retry === 'restart' || retry === 'never') throw error
    repeated.happened(error)
    return { outcome: retry, elementCount: 0 }
  }

  /** The day-old memory of producers that ended is dropped while there is nothing else to do. */
  async #forget(): Promise<void> {
    const now = this.#parts.clock.monotonicMs()
    if (now - this.#forgotAtMs < forgetIntervalMs) return
    this.#forgotAtMs = now
    try {
      const producerCount = await this.#parts.queue.forget(forgetAfterMs)
      if (producerCount > 0) this.#parts.log.info({ producerCount }, 'forgot producers that ended')
    } catch (error) {
      this.#failed(error, this.#queueError)
    }
  }

  /** In small steps, so that no commit waits long for it; one that fails is made again later. */
  #forgetIdempotencyKeys(): void {
    const { store, clock, idempotencyWindowMs } = this.#parts
    const now = clock.monotonicMs()
    if (now - this.#keysForgottenMs < keysForgetIntervalMs) return
    try {
      const count = store.forgetIdempotencyKeys(clock.nowMs() - idempotencyWindowMs, keysForgottenMax)
      if (count < keysForgottenMax) this.#keysForgottenMs = now
    } catch (error) {
      this.#failed(error, this.#storeError)
      this.#keysForgottenMs = now
    }
  }

  /** One that fails leaves everything as it is, and is made again later. */
  #checkpoint(when: 'published' | 'idle'): void {
    try {
      this.#checkpoints[when]()
    } catch (error) {
      this.#failed(error, this.#storeError)
    }
  }
}
