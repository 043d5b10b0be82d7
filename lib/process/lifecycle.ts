import { type Clock, withDeadline } from '../clock.ts'
import { type ExitCode, exitCodes, OperationError } from '../errors.ts'
import type { Log } from './log.ts'

export interface Part {
  readonly name: string
  start?(): Promise<void> | void
  stop?(): Promise<void> | void
  /** Runs when stopping is over, however that ended: what must not be lost is written down here. */
  lastly?(): void
}

/**
 * Starts parts in the order given and stops them in reverse, so that what is upstream stops first and the
 * rest can still take what it hands down. A part that fails to start stops those before it. A part that
 * fails or exceeds the deadline while stopping is logged and the rest are stopped all the same; its `lastly`
 * runs in any case.
 */
export class Lifecycle {
  readonly #clock: Clock
  readonly #log: Log
  readonly #running: Part[] = []
  #stopping: Promise<ExitCode> | null = null

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  async start(parts: readonly Part[], stopTimeoutMs: number): Promise<void> {
    for (const part of parts) {
      try {
        await part.start?.()
      } catch (error) {
        await this.stop(stopTimeoutMs)
        throw error
      }
      this.#running.push(part)
    }
  }

  /**
   * Resolves to the exit code: `done` when every part stopped cleanly, `unavailable` where something outside
   * or want of time kept one from it, else `internalError`. Calling it again waits for the same stop.
   */
  stop(timeoutMs: number): Promise<ExitCode> {
    this.#stopping ??= this.#stopAll(this.#clock.monotonicMs() + timeoutMs)
    return this.#stopping
  }

  async #stopAll(deadlineMs: number): Promise<ExitCode> {
    let exitCode: ExitCode = exitCodes.done
    let isLate = false
    for (const part of this.#running.splice(0).reverse()) {
      const remainingMs = Math.max(100, deadlineMs - this.#clock.monotonicMs())
      const late = new Error(`exceeded the stop deadline, which was ${Math.round(remainingMs)} ms away`)
      const failed = (error: unknown) => {
        if (error instanceof OperationError) exitCode = exitCodes.unavailable
        else if (error !== late) exitCode ||= exitCodes.internalError
        else isLate = true
        const why = error === late ? { code: 'stop_timeout', reason: late.message } : { err: error }
        this.#log.error({ part: part.name, ...why }, 'part did not stop cleanly')
      }
      try {
        const stopped = Promise.resolve(part.stop?.())
        await withDeadline(this.#clock, remainingMs, stopped, () => late)
      } catch (error) {
        failed(error)
      }
      try {
        part.lastly?.()
      } catch (error) {
        failed(error)
      }
    }
    return exitCode || (isLate ? exitCodes.unavailable : exitCodes.done)
  }
}
