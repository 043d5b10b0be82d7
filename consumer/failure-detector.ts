import type { Clock } from '../lib/clock.ts'
import type { BatchId } from '../batch/batch.ts'
import type { ConsumerQueue } from '../queue/queue.ts'

/** The time between two looks at the producers with parked batches. */
const lookIntervalMs = 1_000

interface Watch {
  /** The heartbeat that was seen last. */
  heartbeat: string
  /**
   * Since when it has not changed, by our own clock: it runs even if the queue forgot, or its clock jumps.
   */
  sinceMs: number
}

/**
 * Knows which producers with parked batches have been silent for so long that their missing batches will
 * not come any more. Silence is measured from when this process first looked, so a restart grants each of
 * them the whole time again. Of what is parked between two looks it learns at the next one.
 */
export class FailureDetector {
  readonly #clock: Clock
  readonly #silenceMs: number
  /** Reports whether batches of this producer wait in a hand-over file, which a web process will bring. */
  readonly #isHandedOver: (producer: string) => boolean
  readonly #watched = new Map<string, Watch>()
  #lookedMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, silenceMs: number, isHandedOver: (producer: string) => boolean) {
    this.#clock = clock
    this.#silenceMs = silenceMs
    this.#isHandedOver = isHandedOver
  }

  isLookDue(): boolean {
    return this.#clock.monotonicMs() - this.#lookedMs >= lookIntervalMs
  }

  get watched(): ReadonlySet<string> {
    return new Set(this.#watched.keys())
  }

  /** Watches exactly the producers of these batches from now on. */
  watch(parked: readonly BatchId[]): void {
    const producers = new Set(parked.map(id => id.producer))
    for (const producer of this.#watched.keys()) if (!producers.has(producer)) this.#watched.delete(producer)
    for (const producer of producers) {
      if (!this.#watched.has(producer))
        this.#watched.set(producer, { heartbeat: '', sinceMs: this.#clock.monotonicMs() })
    }
  }

  /** Asks the queue and returns who is presumed dead by now. Throws what the queue throws. */
  async look(queue: ConsumerQueue): Promise<ReadonlySet<string>> {
    const now = this.#clock.monotonicMs()
    const isAsked = this.#watched.size > 0
    const heartbeats = isAsked ? await queue.heartbeats([...this.#watched.keys()]) : new Map<string, string>()
    this.#lookedMs = now
    const presumedDead = new Set<string>()
    for (const [producer, watch] of this.#watched) {
      const heartbeat = heartbeats.get(producer) ?? ''
      if (heartbeat !== watch.heartbeat) {
        watch.heartbeat = heartbeat
        watch.sinceMs = now
      } else if (now - watch.sinceMs >= this.#silenceMs && !this.#isHandedOver(producer)) {
        presumedDead.add(producer)
      }
    }
    return presumedDead
  }
}
