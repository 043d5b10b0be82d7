import type { Channel } from '../../lib/process/channel.ts'
import type { Clock } from '../../lib/clock.ts'
import { newsBelievedMs } from '../../lib/process/readiness-news.ts'
import type { ProcessReadiness, Readiness } from '../../lib/process/status-server.ts'

/**
 * The other processes of a `piccolo up`, as the parent tells of them. Any web process may be asked whether
 * the service is ready, and answers for all.
 */
export class Siblings {
  readonly #clock: Clock
  readonly #ownName: string
  /** Null when it runs on its own. */
  readonly #parent: Channel | null
  #others: readonly ProcessReadiness[] = []
  #heardMs: number

  constructor(parent: Channel | null, clock: Clock, ownName: string) {
    this.#clock = clock
    this.#ownName = ownName
    this.#parent = parent
    this.#heardMs = clock.monotonicMs()
    parent?.on('readiness of all', (all: readonly ProcessReadiness[]) => {
      this.#others = all.filter(({ process }) => process !== ownName)
      this.#heardMs = clock.monotonicMs()
    })
  }

  /** The readiness of all processes; `own` is that of this one. A reason that several give is listed once. */
  withOthers(own: Readiness): Readiness {
    const reasons = new Set(own.reasons)
    const notes = new Set(own.notes)
    const silentMs = this.#clock.monotonicMs() - this.#heardMs
    if (this.#parent !== null && silentMs >= newsBelievedMs)
      reasons.add(`piccolo up has not answered ${this.#ownName} for ${Math.floor(silentMs / 1_000)} s`)
    for (const other of this.#others) {
      for (const reason of other.reasons) if (!reasons.has(reason)) reasons.add(shown(other.process, reason))
      for (const note of other.notes ?? []) notes.add(note)
    }
    return { reasons: [...reasons], notes: [...notes] }
  }
}

/** There is one consumer, and its reasons say what of it is meant. */
function shown(process: string, reason: string): string {
  return process === 'consumer' || reason.startsWith(`${process} `) ? reason : `${process}: ${reason}`
}
