import type { Clock } from './clock.ts'

/** A sleep that a hint ends, or skips when the hint came before it. */
export class WakeableSleep {
  readonly #clock: Clock
  /** Ends the current sleep; null while not asleep. */
  #wake: (() => void) | null = null
  #hinted = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  wake(): void {
    this.#hinted = true
    this.#wake?.()
  }

  async sleep(delayMs: number): Promise<void> {
    if (!this.#hinted) {
      await new Promise<void>(resolve => {
        const timer = this.#clock.after(delayMs, resolve)
        this.#wake = () => {
          timer.cancel()
          resolve()
        }
      })
      this.#wake = null
    }
    this.#hinted = false
  }
}
