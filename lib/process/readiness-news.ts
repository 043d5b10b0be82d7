import type { Channel } from './channel.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Readiness } from './status-server.ts'

const lookIntervalMs = 250
/** Unchanged news are told so often all the same: who hears less knows that something hangs. */
const repeatIntervalMs = 1_000
/** How long news are believed. */
export const newsBelievedMs = 5_000

/** Tells the parent process, for its web processes, how ready this process is. */
export class ReadinessNews {
  readonly #parent: Channel
  readonly #clock: Clock
  readonly #readiness: () => Readiness
  #timer: Timer | null = null
  #told = ''
  #toldMs = 0

  constructor(parent: Channel, clock: Clock, readiness: () => Readiness) {
    this.#parent = parent
    this.#clock = clock
    this.#readiness = readiness
  }

  start(): void {
    this.tell()
    this.#timer = this.#clock.after(lookIntervalMs, () => this.start())
  }

  tell(): void {
    const readiness = this.#readiness()
    const [news, nowMs] = [JSON.stringify(readiness), this.#clock.monotonicMs()]
    if (news === this.#told && nowMs - this.#toldMs < repeatIntervalMs) return
    this.#parent.emit('readiness', readiness)
    this.#told = news
    this.#toldMs = nowMs
  }

  stop(): void {
    this.#timer?.cancel()
  }
}
