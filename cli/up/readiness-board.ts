import type { Clock, Timer } from '../../lib/clock.ts'
import { newsBelievedMs } from '../../lib/process/readiness-news.ts'
import type { ProcessReadiness, Readiness } from '../../lib/process/status-server.ts'

const tellIntervalMs = 500

interface News {
  /** The last readiness that it reported, possibly in an earlier process that has ended. */
  readiness: Readiness
  heardMs: number
  /** Why it does not run; null while it does, or is just restarted in order. */
  trouble: string | null
}

/**
 * Keeps the last readiness that each child of `piccolo up` reported, for all web processes. A child that is
 * silent because it hangs, or that does not run, is not ready. One that is restarted in order reports again
 * before that counts.
 */
export class ReadinessBoard {
  readonly #clock: Clock
  readonly #tell: (all: readonly ProcessReadiness[]) => void
  readonly #news = new Map<string, News>()
  #timer: Timer | null = null

  constructor(clock: Clock, tell: (all: readonly ProcessReadiness[]) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  /** A process that is to be heard of from now on. */
  add(process: string): void {
    this.#news.set(process, { readiness: { reasons: [] }, heardMs: this.#clock.monotonicMs(), trouble: null })
  }

  heard(process: string, readiness: Readiness): void {
    const news = this.#news.get(process)!
    const isNew = JSON.stringify(news.readiness) !== JSON.stringify(readiness)
    news.readiness = readiness
    news.heardMs = this.#clock.monotonicMs()
    if (isNew) this.#tell(this.all())
  }

  /** It does not run, and why; null: it has taken up its work. */
  troubled(process: string, code: string | null): void {
    const news = this.#news.get(process)!
    if (code === null) news.heardMs = this.#clock.monotonicMs()
    if (news.trouble === code) return
    news.trouble = code
    this.#tell(this.all())
  }

  all(): ProcessReadiness[] {
    return [...this.#news].map(([process, { readiness, heardMs, trouble }]) => {
      if (trouble !== null)
        return {
          process,
          ...readiness,
          reasons: [...readiness.reasons, `${process} does not run: ${trouble}`],
        }
      const silentMs = this.#clock.monotonicMs() - heardMs
      if (silentMs < newsBelievedMs) return { process, ...readiness }
      const silence = `${process} has not answered for ${Math.floor(silentMs / 1_000)} s`
      return { process, ...readiness, reasons: [...readiness.reasons, silence] }
    })
  }

  start(): void {
    this.#tell(this.all())
    this.#timer = this.#clock.after(tellIntervalMs, () => this.start())
  }

  stop(): void {
    this.#timer?.cancel()
  }
}
