import type { Clock, Timer } from '../../lib/clock.ts'

interface Due {
  readonly atMs: number
  readonly run: () => void
}

/** Time that passes when a test says so. */
export class ManualClock implements Clock {
  #nowMs: number
  #timers: Due[] = []

  constructor(startMs: number) {
    this.#nowMs = startMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, run: () => void): Timer {
    const timer = { atMs: this.#nowMs + delayMs, run }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter(each => each !== timer)
      },
    }
  }

  /** Timers that are neither over nor cancelled, in the order in which they were set. */
  get timers(): readonly Due[] {
    return this.#timers
  }

  /** Time passes, and what is due then happens. */
  pass(ms: number): void {
    this.#nowMs += ms
    const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs)
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.#nowMs)
    for (const { run } of due) run()
  }
}
