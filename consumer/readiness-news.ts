import type { Channel } from '../lib/channel.ts'
import type { Clock, Timer } from '../lib/clock.ts'
import type { Readiness } from '../lib/status-server.ts'

const lookIntervalMs = 250

/** Tells the parent process, for its web processes, when the readiness of the consumer changes. */
export class ReadinessNews {
  readonly #parent: Channel
  readonly #clock: Clock
  readonly #readiness: () => Readiness
  #timer: Timer | null = null
  #told = '[]'

  constructor(parent: Channel, clock: Clock, readiness: () => Readiness) {
    this.#parent = parent
    this.#clock = clock
    this.#readiness = readiness
  }

  start(): void {
    const { reasons } = this.#readiness()
    const news = JSON.stringify(reasons)
    if (news !== this.#told) this.#parent.emit('consumer readiness', reasons)
    this.#told = news
    this.#timer = this.#clock.after(lookIntervalMs, () => this.start())
  }

  stop(): void {
    this.#timer?.cancel()
  }
}
