import type { Clock, Timer } from '../../lib/clock.ts'

const epochMs = Date.UTC(2026)

/** The life of a simulated process: nothing happens in one that is dead, and later in one that is paused. */
export class Life {
  #isDead = false
  /** Work that came due while it was paused; null while it runs. */
  #postponed: (() => void)[] | null = null

  get isDead(): boolean {
    return this.#isDead
  }

  get isPaused(): boolean {
    return this.#postponed !== null
  }

  die(): void {
    this.#isDead = true
  }

  pause(): void {
    this.#postponed ??= []
  }

  resume(): void {
    const postponed = this.#postponed ?? []
    this.#postponed = null
    for (const work of postponed) this.run(work)
  }

  run(work: () => void): void {
    if (this.#isDead) return
    if (this.#postponed === null) work()
    else this.#postponed.push(work)
  }
}

interface Due {
  readonly atMs: number
  readonly run: () => void
}

/** Time that passes only when it is told to, for processes that share it. */
export class SimulatedTime {
  /** Never goes back. */
  #nowMs = 0
  /** Time that the wall clock is ahead of where it began. */
  #wallOffsetMs = 0
  /** Work in the order in which it comes due. */
  readonly #due: Due[] = []

  get nowMs(): number {
    return this.#nowMs
  }

  setWallClock(aheadMs: number): void {
    this.#wallOffsetMs = aheadMs
  }

  after(delayMs: number, run: () => void): Timer {
    const due = { atMs: this.#nowMs + Math.max(0, delayMs), run }
    let index = this.#due.length
    while (index > 0 && this.#due[index - 1]!.atMs > due.atMs) index--
    this.#due.splice(index, 0, due)
    return {
      cancel: () => {
        const found = this.#due.indexOf(due)
        if (found !== -1) this.#due.splice(found, 1)
      },
    }
  }

  /** The clock of one process: its timers die, or wait, with it. */
  clockOf(life: Life): Clock {
    return {
      nowMs: () => epochMs + this.#nowMs + this.#wallOffsetMs,
      monotonicMs: () => this.#nowMs,
      after: (delayMs, run) => this.after(delayMs, () => life.run(run)),
    }
  }

  /** Runs what comes due meanwhile. */
  skip(ms: number): void {
    const untilMs = this.#nowMs + ms
    while (this.#due[0] && this.#due[0].atMs <= untilMs) this.#runNext()
    this.#nowMs = untilMs
  }

  /** Runs what comes due meanwhile, and all that follows from each before the next. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    for (;;) {
      await settled()
      if (this.#due[0] === undefined || this.#due[0].atMs > untilMs) break
      this.#runNext()
    }
    this.#nowMs = untilMs
  }

  #runNext(): void {
    const next = this.#due.shift()!
    this.#nowMs = next.atMs
    next.run()
  }
}

/** Every promise that can go on has gone on. */
function settled(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
