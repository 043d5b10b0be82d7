import type { Clock } from '../../lib/clock.ts'

/** How often what is accepted goes to the queue while a request waits for that. */
const hurryIntervalMs = 5

/** `hurried`: a request waits for what is to be flushed. `idle`: there is nothing to flush, nor to hear. */
export type FlushMode = 'usual' | 'hurried' | 'idle'

export interface FlushTimerOptions {
  readonly clock: Clock
  readonly flushIntervalMs: number
  /** An idle process wakes up so often. */
  readonly idleIntervalMs: number
  mode(): FlushMode
}

/** When to flush: the pauses between one flush and the next. */
export class FlushTimer {
  readonly #options: FlushTimerOptions
  /** When the last flush began. */
  #flushedMs = Number.NEGATIVE_INFINITY
  #mode: FlushMode = 'usual'
  /** Plans the current pause anew; null while there is none. */
  #plan: (() => void) | null = null
  /** Ends the current pause; null while there is none. */
  #end: (() => void) | null = null

  constructor(options: FlushTimerOptions) {
    this.#options = options
  }

  /** Must be called when a flush begins. */
  begun(): void {
    this.#flushedMs = this.#options.clock.monotonicMs()
  }

  /** Resolves when the next flush is due, which may become earlier meanwhile. */
  async pause(): Promise<void> {
    const { clock } = this.#options
    await new Promise<void>(resolve => {
      let timer = clock.after(this.#remainingMs(), resolve)
      this.#plan = () => {
        timer.cancel()
        timer = clock.after(this.#remainingMs(), resolve)
      }
      this.#end = () => {
        timer.cancel()
        resolve()
      }
    })
    this.#plan = null
    this.#end = null
  }

  /** Must be called when the mode may have changed since the beginning of the pause. */
  changed(): void {
    if (this.#plan !== null && this.#options.mode() !== this.#mode) this.#plan()
  }

  /** Ends the current pause at once. */
  end(): void {
    this.#end?.()
  }

  #remainingMs(): number {
    const { clock, flushIntervalMs, idleIntervalMs, mode } = this.#options
    this.#mode = mode()
    if (this.#mode === 'idle') return idleIntervalMs
    const intervalMs = this.#mode === 'hurried' ? Math.min(hurryIntervalMs, flushIntervalMs) : flushIntervalMs
    return Math.max(0, this.#flushedMs + intervalMs - clock.monotonicMs())
  }
}
