import type { Clock } from '../../lib/clock.ts'
import { OperationError } from '../../lib/errors.ts'
import type { RepeatedError } from '../../lib/process/log.ts'
import { queueError } from '../../queue/errors.ts'
import { windowBatchesMax } from '../../batch/limits.ts'
import { isMissing, type Position, type ProducerQueue } from '../../queue/queue.ts'
import type { Producer } from './producer.ts'

/** A producer says at least so often that it lives. */
export const heartbeatIntervalMs = 1_000
/** Pushes in one delivery: bounds what a queue that keeps sending its producer back can make of it. */
const pushCountMax = 2 * windowBatchesMax

/**
 * Carries the batches of one producer to the queue and brings back what is confirmed. At most one call is
 * under way. After one that failed, which may have happened all the same, it first asks where the producer
 * stands: a large push whose answer never comes in time would be repeated for ever.
 */
export class BatchSender {
  readonly producer: Producer
  readonly #queue: ProducerQueue
  readonly #clock: Clock
  readonly #error: RepeatedError
  #heardMs = Number.NEGATIVE_INFINITY
  /** The outcome of the last call is unknown. */
  #isInDoubt = false
  #isHopeless = false
  #pauseUntilMs = Number.NEGATIVE_INFINITY
  /** The delivery under way; null when there is none. */
  #delivery: Promise<boolean> | null = null

  readonly #onPosition: (position: Position) => void

  /** `onPosition` hears how far the producer's batches have come, whenever the queue says it. */
  constructor(
    producer: Producer,
    queue: ProducerQueue,
    clock: Clock,
    error: RepeatedError,
    onPosition: (position: Position) => void = () => {},
  ) {
    this.#onPosition = onPosition
    this.producer = producer
    this.#queue = queue
    this.#clock = clock
    this.#error = error
  }

  /** The last call failed. */
  get isFailing(): boolean {
    return this.#error.code !== null
  }

  /** The last call failed in a way that waiting does not fix. */
  get isHopeless(): boolean {
    return this.#isHopeless
  }

  /**
   * Pushes what there is to push, and asks where the producer stands if anything is unconfirmed. Resolves to
   * false after an error.
   */
  deliver(): Promise<boolean> {
    return this.#delivery ?? this.#begin(false)
  }

  /**
   * Pushes what there is to push, and asks at the end whether it is there. Resolves to true only if that
   * answer says that the queue has everything, or the store, where the queue would not outlive this service.
   */
  async handOn(): Promise<boolean> {
    // A delivery under way may have asked before the queue forgot.
    while (this.#delivery !== null) await this.#delivery
    if (!(await this.#begin(true))) return false
    return this.#queue.durable ? this.producer.isAllPushed : this.producer.unconfirmed.length === 0
  }

  #begin(asksAtEnd: boolean): Promise<boolean> {
    this.#delivery = this.#deliver(asksAtEnd).finally(() => {
      this.#delivery = null
    })
    return this.#delivery
  }

  async #deliver(asksAtEnd: boolean): Promise<boolean> {
    if (this.#clock.monotonicMs() < this.#pauseUntilMs) return false
    try {
      if (this.#isInDoubt) await this.#heartbeat()
      this.#isInDoubt = false
      let pushCount = 0
      for (; pushCount < pushCountMax; pushCount++) {
        const push = this.producer.nextPush()
        if (push === null) break
        const position = await this.#queue.push(push)
        this.#hear(position)
        if (position.pushed === push.sequence - 1 || isMissing(position.givenUp, push.sequence))
          throw queueError('queue_long', 'the list has no room for a batch')
      }
      if (asksAtEnd || (pushCount === 0 && this.#isHeartbeatDue())) await this.#heartbeat(asksAtEnd)
      this.#heardMs = this.#clock.monotonicMs()
      this.#isHopeless = false
      this.#error.over()
      return true
    } catch (error) {
      if (!(error instanceof OperationError)) throw error
      this.#isInDoubt = true
      this.#error.happened(error)
      this.#isHopeless = error.policy.retry === 'never'
      const pauseMs = error.policy.retry === 'soon' ? 0 : 1_000
      this.#pauseUntilMs = this.#clock.monotonicMs() + pauseMs
      return false
    }
  }

  async #heartbeat(looksIntoList = false): Promise<void> {
    const { id, firstUnconfirmed, highest } = this.producer
    this.#hear(await this.#queue.heartbeat(id, firstUnconfirmed, highest, looksIntoList))
  }

  #hear(position: Position): void {
    this.producer.heard(position)
    this.#onPosition(this.producer.reached(position))
  }

  #isHeartbeatDue(): boolean {
    return (
      this.producer.unconfirmed.length > 0 || this.#clock.monotonicMs() - this.#heardMs >= heartbeatIntervalMs
    )
  }
}
