import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/process/log.ts'
import type { ConsumerQueue } from '../queue/queue.ts'

const forgetIntervalMs = 60_000
/** The queue remembers a silent producer for a day; see ConsumerQueue.forget. */
const forgetAfterMs = 86_400_000

/** Drops the day-old memory of producers that ended. */
export class EndedProducers {
  readonly #queue: ConsumerQueue
  readonly #clock: Clock
  readonly #log: Log
  #forgotAtMs = 0

  constructor({ queue, clock, log }: { queue: ConsumerQueue; clock: Clock; log: Log }) {
    this.#queue = queue
    this.#clock = clock
    this.#log = log
  }

  /** Forgets them if that is due; called while there is nothing else to do. Throws what the queue throws. */
  async forget(): Promise<void> {
    const now = this.#clock.monotonicMs()
    if (now - this.#forgotAtMs < forgetIntervalMs) return
    this.#forgotAtMs = now
    const producerCount = await this.#queue.forget(forgetAfterMs)
    if (producerCount > 0) this.#log.info({ producerCount }, 'forgot producers that ended')
  }
}
