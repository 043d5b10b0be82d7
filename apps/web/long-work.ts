import type { Clock } from '../../lib/clock.ts'

/** How much of it may be done in one turn; in the next ones as much again. */
const longWorkMs = 20

/**
 * Work that takes long for one request, such as reading a body of a megabyte. Work that does not fit into a
 * turn of the event loop is done in the following ones, in the order in which it came: connections that all
 * bring such work in one turn would keep every other client, and the flush, waiting.
 */
export class LongWork {
  readonly #clock: Clock
  readonly #waiting: (() => void)[] = []
  /** When this turn was first asked for its age; null until then. */
  #beganMs: number | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** There is time for more of it in this turn. */
  get isFree(): boolean {
    return this.#waiting.length === 0 && this.turnMs() < longWorkMs
  }

  /** Returns how long ago this was first asked in this turn. */
  turnMs(): number {
    const nowMs = this.#clock.monotonicMs()
    if (this.#beganMs === null) {
      this.#beganMs = nowMs
      setImmediate(() => {
        this.#beganMs = null
      })
    }
    return nowMs - this.#beganMs
  }

  /** Does `work`, which must not throw, in one of the next turns. */
  later(work: () => void): void {
    this.#waiting.push(work)
    if (this.#waiting.length === 1) setImmediate(this.#next)
  }

  readonly #next = () => {
    const endMs = this.#clock.monotonicMs() + longWorkMs
    let done = 0
    do this.#waiting[done++]!()
    while (done < this.#waiting.length && this.#clock.monotonicMs() < endMs)
    this.#waiting.splice(0, done)
    if (this.#waiting.length > 0) setImmediate(this.#next)
  }
}
