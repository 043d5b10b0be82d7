import { decodeBatch } from '../../batch/batch.ts'
import { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import type { Push } from '../../queue/queue.ts'
import { Life, type SimulatedTime } from './time.ts'

type Hint = 'pushed' | 'applied'

/** The queue of one shard as it is at the moment: it can lose its memory, or go back to a backup. */
export class Shard {
  readonly #time: SimulatedTime
  readonly #batchesMax: number
  readonly #listeners = { pushed: new Set<() => void>(), applied: new Set<() => void>() }
  #queue: EmbeddedQueue
  /** Sees all that the queue sees until it is frozen; null after the queue forgot, or went back to it. */
  #backup: EmbeddedQueue | null
  #isBackupFrozen = false
  /** How often it forgot something. */
  #harmCount = 0
  /** Keys taken from among others: the queue does not know that it lacks them. */
  readonly vanished = new Set<string>()
  /** Increments that a producer had sealed with the last batch that was ever in the list, by producer. */
  readonly sealedOf = new Map<string, number>()

  constructor(time: SimulatedTime, batchesMax: number) {
    this.#time = time
    this.#batchesMax = batchesMax
    this.#queue = this.#empty()
    this.#backup = this.#empty()
  }

  async execute<T>(work: (queue: EmbeddedQueue) => Promise<T>): Promise<T> {
    if (this.#backup !== null && !this.#isBackupFrozen) await work(this.#backup)
    return work(this.#queue)
  }

  get harmCount(): number {
    return this.#harmCount
  }

  /** All that wait in the list, the keyed ones aside. */
  async keys(): Promise<ReadonlySet<string>> {
    const all = { batchesMax: Number.POSITIVE_INFINITY, bytesMax: Number.POSITIVE_INFINITY }
    const elements = await this.#queue.read(all)
    return new Set(elements.flatMap(element => decodeBatch(element).keys))
  }

  /** The batch is, or was, in the list. */
  took({ producer, element }: Push): void {
    this.sealedOf.set(producer, Math.max(decodeBatch(element).sealed, this.sealedOf.get(producer) ?? 0))
  }

  on(hint: Hint, listener: () => void): () => void {
    this.#listeners[hint].add(listener)
    return () => this.#listeners[hint].delete(listener)
  }

  loseAll(): void {
    this.#harmCount++
    this.#queue = this.#empty()
    this.#backup = null
  }

  async loseHead(): Promise<void> {
    const [head] = await this.#queue.read()
    if (head === undefined) return
    for (const key of decodeBatch(head).keys) this.vanished.add(key)
    await this.#queue.publish({ watermarks: new Map(), parked: [], outcomes: [], discarded: [head] })
  }

  /** The first time the backup is made; the second time it is put back. */
  freezeOrPutBackBackup(): void {
    if (this.#backup === null) return
    if (this.#isBackupFrozen) {
      this.#harmCount++
      this.#queue = this.#backup
      this.#backup = null
    }
    this.#isBackupFrozen = true
  }

  #empty(): EmbeddedQueue {
    const queue = new EmbeddedQueue(this.#time.clockOf(new Life()), this.#batchesMax)
    for (const hint of ['pushed', 'applied'] as const) {
      const pass = () => {
        if (queue === this.#queue) for (const listener of this.#listeners[hint]) listener()
      }
      if (hint === 'pushed') queue.onPushed(pass)
      else queue.onApplied(pass)
    }
    return queue
  }
}
