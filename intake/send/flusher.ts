import { type Clock, nextTurn, sleep, withDeadline } from '../../lib/clock.ts'
import { keysTakenBy } from '../../batch/batch.ts'
import { BatchWriter } from '../../batch/writer.ts'
import type { ProducerQueue } from '../../queue/queue.ts'
import { Accumulator, type Keyed } from '../count/accumulator.ts'
import { type BatchSender, heartbeatIntervalMs } from './batch-sender.ts'
import type { IncrementList } from '../parse/increment-list.ts'
import { type FlushMode, FlushTimer } from './flush-timer.ts'
import { BatchCutter, slicesAfter } from './batch-cutter.ts'
import type { FlushCohort, Settle, AckWaiters } from './ack-waiters.ts'

/** How often a stopping process tries to hand on what it holds. */
const drainIntervalMs = 10

export interface FlusherOptions {
  readonly sender: BatchSender
  readonly queue: ProducerQueue
  readonly clock: Clock
  readonly flushIntervalMs: number
  /** Distinct keys that may wait here, not yet cut into batches. */
  readonly keysMax: number
  /** Requests that wait for more than that their increments are in memory. */
  readonly ackWaiters: AckWaiters
}

/**
 * Takes increments, and on a timer seals what has come together into batches for the sender to carry. While
 * the queue is unreachable, or the window of unconfirmed batches is full, increments keep merging in the
 * accumulator: memory is bounded by `keysMax` distinct keys, and only a key beyond that is refused.
 */
export class Flusher {
  readonly #options: FlusherOptions
  #accumulator: Accumulator
  /** The cohort of batches that the accumulator will become. */
  #cohort: FlushCohort = { sequenceLast: null }
  /** An accumulator that was cut into batches and will take increments again; null when there is none. */
  #spare: Accumulator | null = null
  /** Cuts the accumulator that was swapped out; null most of the time. */
  #cutter: BatchCutter | null = null
  /** The writer of all batches, one after the other. */
  #writer = new BatchWriter()
  /** Increments sealed since the start: the producer's side of the ledger. */
  #incrementsSealed = 0
  #incrementsAccepted = 0
  #running: Promise<void> | null = null
  #stopRequested = false
  readonly #timer: FlushTimer

  constructor(options: FlusherOptions) {
    this.#options = options
    const { clock, flushIntervalMs } = options
    const mode = () => this.#mode()
    this.#timer = new FlushTimer({ clock, flushIntervalMs, idleIntervalMs: heartbeatIntervalMs, mode })
    this.#accumulator = this.#newAccumulator(null)
    options.queue.onApplied(() => {
      if (options.sender.producer.unconfirmed.length > 0) void options.sender.deliver()
    })
  }

  get incrementsAccepted(): number {
    return this.#incrementsAccepted
  }

  /** The cohort that the last increment is sealed with. */
  get cohort(): FlushCohort {
    return this.#cohort
  }

  /** Distinct keys that are not yet written into batches. */
  get keyCount(): number {
    return this.#accumulator.keyCount + (this.#cutter?.keyCount ?? 0)
  }

  /** Age of the oldest increment that is not confirmed; zero when everything accepted is in the store. */
  oldestAgeMs(): number {
    const oldestMs = Math.min(
      this.#options.sender.producer.unconfirmed[0]?.oldestMs ?? Number.POSITIVE_INFINITY,
      this.#cutter?.oldest.monotonicMs ?? Number.POSITIVE_INFINITY,
      this.#accumulator.oldest?.monotonicMs ?? Number.POSITIVE_INFINITY,
    )
    return Math.max(
      0,
      this.#options.clock.monotonicMs() - Math.min(oldestMs, this.#options.clock.monotonicMs()),
    )
  }

  /** All or nothing: false when there is no room for every new key. */
  tryAdd(list: IncrementList): boolean {
    const room = this.#options.keysMax - this.keyCount
    if (list.length > room && this.#accumulator.newKeyCount(list) > room) return false
    this.#accumulator.add(list)
    this.#incrementsAccepted += list.length
    return true
  }

  /** Returns false when there is no room for its keys: nothing was counted then. */
  tryAddKeyed(keyed: Keyed): boolean {
    if (this.keyCount + keysTakenBy(keyed.request) > this.#options.keysMax) return false
    this.#accumulator.addKeyed(keyed)
    this.#incrementsAccepted += keyed.request.increments
    return true
  }

  /**
   * Waits for what was added last, or for the store's decision about a keyed request: `settle` is called
   * later, with how far it came. Returns how to stop ackWaiters.
   */
  await(ack: 'queued' | 'committed' | Keyed, settle: Settle): () => void {
    const isKeyed = typeof ack === 'object'
    const [awaited, cohort] = isKeyed ? (['keyed', ack] as const) : [ack, this.#cohort]
    const cancel = this.#options.ackWaiters.add(awaited, cohort, settle)
    this.#timer.changed()
    return cancel
  }

  /** Resolves when draining has begun; rejects on an internal error, after which nothing is flushed. */
  start(): Promise<void> {
    this.#running ??= this.#run()
    return this.#running
  }

  /**
   * Seals everything. Resolves to whether the queue, or the store, where the queue would not outlive this
   * service, said within `timeoutMs` that it has it; what is left is the producer's `unconfirmed`.
   */
  async drain(timeoutMs: number): Promise<boolean> {
    const { sender, clock } = this.#options
    const deadlineMs = clock.monotonicMs() + timeoutMs
    this.#stopRequested = true
    this.#timer.end()
    // A flush under way may hang in a call to the queue; what it was about to seal is sealed here.
    this.sealEverything()
    for (;;) {
      const remainingMs = Math.max(0, deadlineMs - clock.monotonicMs())
      const late = () => new Error('not handed on in time')
      if (await withDeadline(clock, remainingMs, sender.handOn(), late).catch(() => false)) return true
      if (sender.isHopeless || clock.monotonicMs() >= deadlineMs) return false
      await sleep(clock, drainIntervalMs)
    }
  }

  /** Seals, whatever the window. Throws for increments that it gives up; the next call seals the rest. */
  sealEverything(): void {
    try {
      while (this.#cutter !== null) if (this.#cutter.writeSlice()) this.#cut(this.#cutter)
    } catch (error) {
      this.#cutter = null
      this.#writer = new BatchWriter()
      throw error
    }
    const { oldest } = this.#accumulator
    if (oldest === null) return
    this.#take(oldest)
    this.sealEverything()
  }

  async #run(): Promise<void> {
    while (!this.#stopRequested) {
      this.#timer.begun()
      await this.#flush()
      if (this.#mode() === 'idle') this.#release()
      if (!this.#stopRequested) await this.#timer.pause()
    }
  }

  async #flush(): Promise<void> {
    const { sender } = this.#options
    if (sender.isFailing && !(await sender.deliver())) return
    this.#swap()
    do {
      if (sender.producer.hasRoom) await this.#sealOne()
      if (!(await sender.deliver())) return
    } while (this.#cutter !== null && sender.producer.hasRoom)
  }

  #swap(): void {
    const { oldest } = this.#accumulator
    if (oldest === null || this.#cutter !== null || !this.#options.sender.producer.hasRoom) return
    this.#take(oldest)
  }

  /** Takes the accumulator away to be sealed, and begins a new one. */
  #take(oldest: BatchCutter['oldest']): void {
    this.#cutter = new BatchCutter({
      accumulator: this.#accumulator,
      oldest,
      cohort: this.#cohort,
      writer: this.#writer,
    })
    this.#accumulator = this.#nextAccumulator(this.#accumulator)
    this.#cohort = { sequenceLast: null }
  }

  /** Requests are served between some slices of the batch and some more. */
  async #sealOne(): Promise<void> {
    const cutter = this.#cutter
    if (cutter === null) return
    for (let slices = 1; !cutter.writeSlice(); ) {
      if (--slices > 0) continue
      const beganMs = this.#options.clock.monotonicMs()
      await nextTurn()
      // Draining has sealed it meanwhile.
      if (this.#cutter !== cutter) return
      slices = slicesAfter(this.#options.clock.monotonicMs() - beganMs)
    }
    this.#cut(cutter)
  }

  #cut(cutter: BatchCutter): void {
    const { wallMs, monotonicMs } = cutter.oldest
    cutter.cut((writer, increments) => {
      this.#incrementsSealed += increments
      const header = { oldestMs: wallMs, increments, sealed: this.#incrementsSealed }
      return this.#options.sender.producer.seal(id => writer.finish({ ...id, ...header }), monotonicMs)
    })
    if (!cutter.isOver) return
    this.#cutter = null
    this.#spare = cutter.accumulator
  }

  #nextAccumulator(like: Accumulator): Accumulator {
    const spare = this.#spare
    this.#spare = null
    return spare?.tryClear(like) ? spare : this.#newAccumulator(like)
  }

  /** Nothing is in memory, and nothing comes: what a busy hour needed is given back. */
  #release(): void {
    this.#spare = null
    this.#accumulator = this.#newAccumulator(null)
  }

  #newAccumulator(like: Accumulator | null): Accumulator {
    const { clock } = this.#options
    const begin = () => {
      // This is the first increment in it.
      queueMicrotask(() => this.#timer.changed())
      return { wallMs: clock.nowMs(), monotonicMs: clock.monotonicMs() }
    }
    return new Accumulator(begin, like)
  }

  #mode(): FlushMode {
    const { ackWaiters, sender } = this.#options
    // Hurrying would not bring back an unreachable queue.
    if (sender.isFailing) return 'usual'
    if (ackWaiters.count > 0) return 'hurried'
    return this.keyCount === 0 && sender.producer.unconfirmed.length === 0 ? 'idle' : 'usual'
  }
}
