import { openSync, readSync } from 'node:fs'
import { PagedArray } from './paged-array.ts'

const pageLog2 = 16

/** Waits in milliseconds. */
export interface Waits {
  readonly p99: number
  readonly p999: number
  /** The longest turn. */
  readonly max: number
}

/**
 * Turns of this process' event loop, one after the other without a pause: how long a request waits that comes
 * at any time. `wall` is what a clock shows; `own` is less the time in which the main thread was ready to run
 * and the operating system ran others (`/proc/self/task/PID/schedstat`, Linux), for machines that are shared.
 */
export class EventLoopTurns {
  readonly #schedstat = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r')
  readonly #text = Buffer.alloc(96)
  #wall = new Turns()
  #own = new Turns()
  #isOver = false

  start(): void {
    let lastMs = performance.now()
    let lastDelayMs = this.#delayMs()
    const look = () => {
      const now = performance.now()
      const delayMs = this.#delayMs()
      this.#wall.push(now - lastMs)
      this.#own.push(Math.max(0, now - lastMs - (delayMs - lastDelayMs)))
      lastMs = now
      lastDelayMs = delayMs
      if (!this.#isOver) setImmediate(look)
    }
    look()
  }

  /** Forgets what was so far. */
  clear(): void {
    this.#wall = new Turns()
    this.#own = new Turns()
  }

  stop(): { wall: Waits; own: Waits } {
    this.#isOver = true
    return { wall: waits(this.#wall.toArray()), own: waits(this.#own.toArray()) }
  }

  #delayMs(): number {
    const length = readSync(this.#schedstat, this.#text, 0, this.#text.length, 0)
    return Number(this.#text.toString('latin1', 0, length).split(' ', 2)[1]) / 1e6
  }
}

/** A list that never grows all at once: copying one of a million turns would be the longest turn of all. */
class Turns {
  readonly #turns = new PagedArray(length => new Float64Array(length), pageLog2, 1 << pageLog2)
  #count = 0

  push(turnMs: number): void {
    const index = this.#count++
    this.#turns.reserve(this.#count)
    this.#turns.pages[index >>> pageLog2]![index & ((1 << pageLog2) - 1)] = turnMs
  }

  toArray(): Float64Array {
    const all = new Float64Array(this.#count)
    for (const [index, page] of this.#turns.pages.entries()) {
      const start = index << pageLog2
      all.set(page.subarray(0, this.#count - start), start)
    }
    return all
  }
}

/**
 * A request that comes within a turn waits for the rest of it. Of requests that come evenly, the share that
 * waits longer than `w` is the sum of `max(0, turn - w)` over the sum of all turns.
 */
function waits(turnsMs: Float64Array): Waits {
  const longestFirst = turnsMs.sort().reverse()
  const total = longestFirst.reduce((sum, each) => sum + each, 0)
  const at = (share: number) => {
    const rest = (1 - share) * total
    let sum = 0
    for (const [index, turnMs] of longestFirst.entries()) {
      if (sum - index * turnMs >= rest) return (sum - rest) / index
      sum += turnMs
    }
    return 0
  }
  return { p99: at(0.99), p999: at(0.999), max: longestFirst[0] ?? 0 }
}
