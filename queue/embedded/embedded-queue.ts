import type { Clock } from '../../lib/clock.ts'
import { batchName, batchIdOf, type QueuedBatch, queuedBatchOf, type Element } from '../../batch/batch.ts'
import { listBatchesMax, readBatchesMax, readBytesMax } from '../limits.ts'
import {
  type ConsumerQueue,
  type GivenUp,
  isMissing,
  type Position,
  type ProducerQueue,
  type Publication,
  type Push,
  type ReadBounds,
} from '../queue.ts'
import { isWithin, type SequenceRange } from '../../batch/sequence-ranges.ts'

/**
 * The queue inside the parent process of `piccolo up`: same semantics as the Redis lists, each method one
 * atomic step. What it holds dies with the parent. Producers keep their batches until the store has them,
 * so the death of the parent loses nothing as long as its web processes outlive it by the moment they need
 * to hand over.
 */
export class EmbeddedQueue implements ProducerQueue, ConsumerQueue {
  readonly durable: boolean = false
  readonly #clock: Clock
  readonly #batchesMax: number
  /** Oldest first. */
  #elements: string[] = []
  readonly #pushed = new Map<string, number>()
  readonly #applied = new Map<string, number>()
  readonly #aliveMs = new Map<string, number>()
  /** Outcomes by producer and sequence. */
  readonly #outcomes = new Map<string, Map<number, string>>()
  /** Batches that were given up, by producer. */
  readonly #givenUp = new Map<string, GivenUp & { readonly queued: Set<number> }>()
  #store: string | null = null
  #idempotencyWindow: string | null = null
  readonly #pushedListeners = new Set<() => void>()
  readonly #appliedListeners = new Set<() => void>()

  constructor(clock: Clock, batchesMax: number = listBatchesMax) {
    this.#clock = clock
    this.#batchesMax = batchesMax
  }

  async connect(): Promise<void> {}

  async push({
    producer,
    sequence,
    firstUnconfirmed,
    settled = firstUnconfirmed - 1,
    element,
  }: Push): Promise<Position> {
    this.#aliveMs.set(producer, this.#clock.nowMs())
    const pushed = Math.max(this.#pushed.get(producer) ?? 0, settled)
    const isNext = sequence === pushed + 1
    const givenUp = this.#givenUpOf(producer)
    const comesBack = isMissing(givenUp, sequence)
    const isTaken = (isNext || comesBack) && this.#elements.length < this.#batchesMax
    if (isTaken) {
      this.#elements.push(element)
      if (comesBack) givenUp!.queued.add(sequence)
      if (isNext) this.#pushed.set(producer, sequence)
      for (const listener of this.#pushedListeners) listener()
    }
    return { ...this.#position(producer, firstUnconfirmed), pushed: isTaken && isNext ? sequence : pushed }
  }

  async heartbeat(producer: string, firstUnconfirmed: number): Promise<Position> {
    this.#aliveMs.set(producer, this.#clock.nowMs())
    return this.#position(producer, firstUnconfirmed)
  }

  async bind(storeId: string): Promise<string> {
    this.#store ??= storeId
    return this.#store
  }

  async storeId(): Promise<string | null> {
    return this.#store
  }

  async announceWindow(span: string): Promise<void> {
    this.#idempotencyWindow = span
  }

  /** The parent's consumers are all of one version. */
  async idempotencyWindow(): Promise<string | null> {
    return this.#idempotencyWindow
  }

  async read({ skip = 0, batchesMax = readBatchesMax, bytesMax = readBytesMax }: ReadBounds = {}) {
    let bytes = 0
    let end = skip
    while (end < Math.min(skip + batchesMax, this.#elements.length)) {
      bytes += this.#elements[end]!.length
      if (end > skip && bytes > bytesMax) break
      end++
    }
    return this.#elements.slice(skip, end)
  }

  async publish({ watermarks, parked, discarded, outcomes, givenUp }: Publication): Promise<void> {
    for (const { producer, sequence, codes } of outcomes) {
      const known = this.#outcomes.get(producer) ?? new Map<number, string>()
      this.#outcomes.set(producer, known.set(sequence, known.get(sequence) ?? codes))
    }
    for (const [producer, watermark] of watermarks) {
      const isLate = watermark < (this.#applied.get(producer) ?? 0)
      if (!isLate) this.#giveUp(producer, givenUp?.get(producer) ?? [])
      this.#applied.set(producer, Math.max(watermark, this.#applied.get(producer) ?? 0))
    }
    for (const { producer } of parked) this.#pushed.set(producer, watermarks.get(producer) ?? 0)
    const done = { parked: new Set(parked.map(batchName)), discarded: new Set<Element>(discarded) }
    let removed = 0
    while (removed < this.#elements.length && this.#isDone(this.#elements[removed]!, done)) removed++
    this.#elements.splice(0, removed)
    if (this.#elements.length === 0) {
      for (const [producer, pushed] of this.#pushed)
        this.#pushed.set(producer, Math.min(pushed, this.#applied.get(producer) ?? 0))
    }
    for (const listener of this.#appliedListeners) listener()
  }

  async watermarks(): Promise<Map<string, number>> {
    return new Map(this.#applied)
  }

  async heartbeats(producers: readonly string[]): Promise<Map<string, string>> {
    return new Map(producers.map(producer => [producer, String(this.#aliveMs.get(producer) ?? '')]))
  }

  async forget(silentMs: number): Promise<number> {
    if (this.#elements.length > 0) return 0
    const silentBefore = this.#clock.nowMs() - silentMs
    let forgotten = 0
    for (const producer of new Set([
      ...this.#aliveMs.keys(),
      ...this.#pushed.keys(),
      ...this.#applied.keys(),
    ])) {
      if ((this.#aliveMs.get(producer) ?? 0) >= silentBefore) continue
      const all = [this.#aliveMs, this.#pushed, this.#applied, this.#outcomes, this.#givenUp]
      for (const known of all) known.delete(producer)
      forgotten++
    }
    return forgotten
  }

  /** Returns the list by producer, in the order of the sequences. */
  async remains(): Promise<Map<string, string[]>> {
    const byProducer = new Map<string, string[]>()
    for (const element of this.#elements) {
      const producer = batchIdOf(element)?.producer
      if (producer === undefined) continue
      const elements = byProducer.get(producer)
      if (elements === undefined) byProducer.set(producer, [element])
      else elements.push(element)
    }
    return byProducer
  }

  /** Returns the batches in the list, oldest first, as far as their heads tell. */
  queued(): QueuedBatch[] {
    return this.#elements.map(queuedBatchOf).filter(batch => batch !== null)
  }

  async length(): Promise<number> {
    return this.#elements.length
  }

  onPushed(listener: () => void): () => void {
    this.#pushedListeners.add(listener)
    return () => this.#pushedListeners.delete(listener)
  }

  onApplied(listener: () => void): () => void {
    this.#appliedListeners.add(listener)
    return () => this.#appliedListeners.delete(listener)
  }

  async close(): Promise<void> {}

  #position(producer: string, firstUnconfirmed: number): Position {
    const known = this.#outcomes.get(producer)
    for (const sequence of known?.keys() ?? []) if (sequence < firstUnconfirmed) known!.delete(sequence)
    if (known?.size === 0) this.#outcomes.delete(producer)
    const givenUp = this.#givenUpOf(producer)
    return {
      pushed: this.#pushed.get(producer) ?? 0,
      applied: this.#applied.get(producer) ?? 0,
      outcomes: new Map(known),
      ...(givenUp && { givenUp: { ranges: givenUp.ranges, queued: new Set(givenUp.queued) } }),
    }
  }

  #giveUp(producer: string, ranges: readonly SequenceRange[]): void {
    const queued = [...(this.#givenUpOf(producer)?.queued ?? [])].filter(each => isWithin(ranges, each))
    if (ranges.length === 0) this.#givenUp.delete(producer)
    else this.#givenUp.set(producer, { ranges, queued: new Set(queued) })
  }

  /** Batches that came back may have vanished; from an empty list they have. */
  #givenUpOf(producer: string) {
    const givenUp = this.#givenUp.get(producer)
    if (this.#elements.length === 0) givenUp?.queued.clear()
    return givenUp
  }

  #isDone(element: string, done: { parked: ReadonlySet<string>; discarded: ReadonlySet<Element> }): boolean {
    if (done.discarded.has(element)) return true
    const id = batchIdOf(element)
    if (id === null) return false
    if (done.parked.has(batchName(id))) return true
    const isSettled = id.sequence <= (this.#applied.get(id.producer) ?? 0)
    return isSettled && !isWithin(this.#givenUp.get(id.producer)?.ranges ?? [], id.sequence)
  }
}
