import { type Clock, sleep } from '../lib/clock.ts'
import { WakeableSleep } from '../lib/wakeable-sleep.ts'
import { OperationError } from '../lib/errors.ts'
import { type Log, RepeatedError } from '../lib/process/log.ts'
import type { Readiness } from '../lib/process/status-server.ts'
import type { ConsumerQueue } from '../queue/queue.ts'
import type { CommitRequest, CommitResult, Store } from '../store/store.ts'
import { CommitLog } from './commit-log.ts'
import { EndedProducers } from './ended-producers.ts'
import type { FailureDetector } from './failure-detector.ts'
import type { ConsumerMetrics } from './metrics.ts'
import type { Prepared } from './prepare/prepare.ts'
import { Prefetcher, type PrefetcherParts, type Taken, usualPrefetcherParts } from './prefetcher.ts'

/** The consumer sleeps so long when the list is empty and nothing wakes it up: longer and longer. */
const idlePollMsMin = 50
const idlePollMsMax = 400
const retryDelayMs = { soon: 100, later: 1_000 } as const

/** The producers that a transaction is about besides those whose batches it applies. */
type Producers = Required<Pick<CommitRequest, 'presumedDead' | 'askedAbout'>>

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
  readonly failureDetector: FailureDetector
  readonly prefetcherParts?: PrefetcherParts
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
  /** The upkeep that the store cannot do at present, as readiness names it. */
  #maintenanceReasons: readonly string[] = []
  /** The time by which a requested stop has to be over; null before that. */
  #stopMs: number | null = null
  #running: Promise<void> | null = null
  /** Until something is pushed. */
  readonly #sleep: WakeableSleep
  readonly #prefetcher: Prefetcher
  readonly #commitLog: CommitLog
  readonly #ended: EndedProducers

  constructor(parts: ConsumerParts) {
    this.#parts = parts
    this.#prefetcher = new Prefetcher(parts.queue, parts.prefetcherParts ?? usualPrefetcherParts(parts.log))
    this.#commitLog = new CommitLog(parts.log, parts.clock)
    this.#ended = new EndedProducers(parts)
    this.#queueError = new RepeatedError(parts.log, parts.clock, 'the queue cannot be read')
    this.#storeError = new RepeatedError(parts.log, parts.clock, 'batches cannot be committed')
    this.#sleep = new WakeableSleep(parts.clock)
    parts.queue.onPushed(() => this.#sleep.wake())
  }

  readiness(): Readiness {
    const errors = [this.#queueError, this.#storeError]
    const reasons = errors.flatMap(({ code, message }) => (code === null ? [] : `${message}: ${code}`))
    return { reasons: [...reasons, ...this.#maintenanceReasons] }
  }

  /**
   * Resolves when `stop` has been called and is over; rejects on an error that needs a fresh process.
   */
  run(): Promise<void> {
    this.#running ??= this.#loop().finally(() => {
      this.#commitLog.tell(true)
      return this.#prefetcher.close()
    })
    return this.#running
  }

  /**
   * Works off what is in the queue now, as far as `timeoutMs` allows, and ends the loop; the rest stays in
   * the queue. Does not wait for a queue or a store that is away.
   */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopMs = this.#parts.clock.monotonicMs() + timeoutMs
    this.#sleep.wake()
    await this.#running
  }

  async #loop(): Promise<void> {
    /** Elements that were in the list when the stop was requested; null before that. */
    let remaining: number | null = null
    let idlePollMs = idlePollMsMin
    for (;;) {
      if (this.#stopMs !== null) remaining ??= await this.#parts.queue.length().catch(() => 0)
      const { outcome, elementCount } = await this.#round()
      await this.#maintain(outcome === 'idle' ? 'idle' : 'busy')
      this.#commitLog.tell()
      if (remaining !== null) {
        remaining -= elementCount
        if (outcome !== 'busy' || remaining <= 0) return
        if (this.#parts.clock.monotonicMs() >= this.#stopMs!) return
      }
      if (elementCount > 0) idlePollMs = idlePollMsMin
      if (outcome === 'idle') {
        await this.#sleep.sleep(idlePollMs)
        idlePollMs = Math.min(2 * idlePollMs, idlePollMsMax)
      } else if (outcome !== 'busy') await sleep(this.#parts.clock, retryDelayMs[outcome])
    }
  }

  async #round(): Promise<Round> {
    const { queue, store, failureDetector } = this.#parts
    let taken: Taken
    let ahead: Taken | null
    let presumedDead: Producers['presumedDead']
    const isLookDue = failureDetector.isLookDue()
    try {
      if (isLookDue) failureDetector.watch(await store.parked())
    } catch (error) {
      return this.#failed(error, this.#storeError)
    }
    const askedAbout = isLookDue ? failureDetector.watched : new Set<string>()
    try {
      ;({ taken, ahead } = await this.#prefetcher.take())
      presumedDead = isLookDue ? await failureDetector.look(queue) : new Set()
      this.#queueError.over()
    } catch (error) {
      return this.#failed(error, this.#queueError)
    }
    const elementCount = taken.elements.length
    if (elementCount === 0 && askedAbout.size === 0) {
      await this.#forgetProducers()
      return { outcome: 'idle', elementCount }
    }
    let prepared: Prepared
    try {
      prepared = await taken.prepared
    } catch (error) {
      return this.#failed(error, this.#queueError)
    }
    let result: CommitResult
    try {
      result = await this.#commit(prepared, taken, { presumedDead, askedAbout })
      this.#storeError.over()
    } catch (error) {
      return this.#failed(error, this.#storeError)
    }
    try {
      const { watermarks, parked, outcomes, rejected, givenUp } = result
      const discarded = rejected.map(({ element }) => element)
      await queue.publish({ watermarks, parked, outcomes, discarded, givenUp })
    } catch (error) {
      return this.#failed(error, this.#queueError)
    }
    this.#prefetcher.published(ahead)
    return { outcome: elementCount > 0 ? 'busy' : 'idle', elementCount }
  }

  /** Its `rejected` are all elements that were. */
  async #commit(prepared: Prepared, { bytes }: Taken, producers: Producers): Promise<CommitResult> {
    const { store, clock, metrics } = this.#parts
    const startedMs = clock.monotonicMs()
    const result = await store.commit({ ...prepared, ...producers })
    const [ms, now] = [clock.monotonicMs() - startedMs, clock.nowMs()]
    this.#prefetcher.committed({ bytes, ms, ageMs: now - (result.applied[0]?.oldestMs ?? now) })
    const rejected = [...prepared.rejected, ...result.rejected]
    metrics.committed(result, now, ms, rejected.length)
    this.#commitLog.committed(result, rejected)
    return { ...result, rejected }
  }

  #failed(error: unknown, repeated: RepeatedError): Round {
    if (!(error instanceof OperationError)) throw error
    const { retry } = error.policy
    if (retry === 'restart' || retry === 'never') throw error
    repeated.happened(error)
    return { outcome: retry, elementCount: 0 }
  }

  async #forgetProducers(): Promise<void> {
    try {
      await this.#ended.forget()
    } catch (error) {
      this.#failed(error, this.#queueError)
    }
  }

  async #maintain(when: 'busy' | 'idle'): Promise<void> {
    try {
      this.#maintenanceReasons = await this.#parts.store.maintain(when)
      if (this.#storeError.code === 'store_gone') this.#storeError.over()
    } catch (error) {
      this.#failed(error, this.#storeError)
    }
  }
}
