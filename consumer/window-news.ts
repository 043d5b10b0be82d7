import type { Clock, Timer } from '../lib/clock.ts'
import type { ConsumerQueue } from '../queue/queue.ts'
import { windowAnnouncedMs } from '../queue/limits.ts'

/** Again and again: the queue may forget it, and it is believed only for a while. */
const intervalMs = windowAnnouncedMs / 3

/** Tells web processes, through the queue, how long idempotency keys are kept. */
export class WindowNews {
  readonly #queue: ConsumerQueue
  readonly #clock: Clock
  readonly #span: string
  #timer: Timer | null = null

  constructor(queue: ConsumerQueue, clock: Clock, span: string) {
    this.#queue = queue
    this.#clock = clock
    this.#span = span
  }

  /** Resolves when it was told for the first time, or could not be: nothing depends on it. */
  async start(): Promise<void> {
    this.#timer = this.#clock.after(intervalMs, () => void this.start())
    await this.#queue.announceWindow(this.#span).catch(() => {})
  }

  stop(): void {
    this.#timer?.cancel()
  }
}
