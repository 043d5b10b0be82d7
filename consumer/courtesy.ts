import type { Clock } from '../lib/clock.ts'
import { yieldCore } from '../lib/yield-core.ts'

/** About how long it works in one go. */
const workMsMax = 0.3
/** Where a core is wanted all the time, each time costs what the scheduler gives to others: milliseconds. */
const timesMax = 10

/**
 * Leaves the core to others now and then: where there are few cores, it is one on which requests are waiting
 * for a web process, and they come before a commit that takes place anyway.
 */
export class Courtesy {
  readonly #clock: Clock
  readonly #yieldCore: () => void
  /** When it last came back. */
  #beganMs = 0
  /** How often it may leave the core before the next work. */
  #timesLeft = 0

  constructor(clock: Clock, yielding: () => void = yieldCore) {
    this.#clock = clock
    this.#yieldCore = yielding
  }

  /** Before work begins: who brought it may have held the core for as long already. */
  begin(): void {
    this.#timesLeft = timesMax
    this.#leave()
  }

  /** Between two pieces of work. */
  pause(): void {
    if (this.#timesLeft > 0 && this.#clock.monotonicMs() - this.#beganMs > workMsMax) this.#leave()
  }

  #leave(): void {
    this.#timesLeft--
    this.#yieldCore()
    this.#beganMs = this.#clock.monotonicMs()
  }
}
