import type { Clock } from '../../lib/clock.ts'
import { isDuration } from '../../lib/config/options.ts'
import type { ProducerQueue } from '../../queue/queue.ts'

/** How long a known window is believed, and how often an unknown one is asked for at most. */
const knownMs = 5_000
const unknownMs = 100

/**
 * How long the consumer keeps idempotency keys, as far as this process has heard. It is asked for when a
 * request with one comes, before its batch goes to the queue: so the answer is there before the store
 * has decided about the request.
 */
export class IdempotencyWindow {
  readonly #queue: ProducerQueue
  readonly #clock: Clock
  #span: string | null = null
  #askedMs = Number.NEGATIVE_INFINITY

  constructor(queue: ProducerQueue, clock: Clock) {
    this.#queue = queue
    this.#clock = clock
  }

  /** The window as the consumer announced it, such as `24h`; null while it is not known. */
  get span(): string | null {
    return this.#span
  }

  /** Asks again if it is time to; never throws. */
  ask(): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#askedMs < (this.#span === null ? unknownMs : knownMs)) return
    this.#askedMs = nowMs
    this.#queue.idempotencyWindow().then(
      span => {
        // Others may have written it: it becomes a header.
        this.#span = span !== null && isDuration(span) ? span : null
      },
      // The queue says so elsewhere.
      () => {},
    )
  }
}
