import { assert } from '../../lib/assert.ts'
import { type BatchId, type QueuedBatch, queuedBatchOf } from '../../batch/batch.ts'
import { countMax, windowBatchesMax, windowBytesMax } from '../../batch/limits.ts'
import { type GivenUp, isMissing, type Position, type Push } from '../../queue/queue.ts'
import { isWithin } from '../../batch/sequence-ranges.ts'

/** A sealed batch as its producer keeps it. The bytes never change. */
export interface Sealed extends QueuedBatch {
  readonly element: string
  /** When its oldest increment was accepted, by the monotonic clock. */
  readonly oldestMs: number
}

/**
 * The batches that one producer has to send, and may forget later. A batch is kept until the store's
 * watermark covers it, and beyond that while the store says that it was given up:
 *
 *     sealed ──▶ pushed ──▶ confirmed, forgotten
 *       ▲           │
 *       └───────────┘  an answer of the queue, whatever was asked, says that it lacks it
 *
 * No clock, no I/O: its driver tells it what the queue answered.
 */
export class Producer {
  readonly id: string
  /**
   * Batches sealed and not yet confirmed, oldest first; without gaps beyond the watermark. Empty when all
   * that was sealed is in the store.
   */
  #unconfirmed: Sealed[] = []
  #unconfirmedBytes = 0
  #unconfirmedIncrements = 0
  #sequenceSealed: number
  /** The next to be pushed, first or again after a loss in the queue. Never below `firstUnconfirmed`. */
  #sequenceNext: number
  #highest = 0
  /** Batches that were given up, as the queue said last. */
  #givenUp: GivenUp | undefined

  constructor(id: string) {
    this.id = id
    this.#sequenceSealed = 0
    this.#sequenceNext = 1
  }

  /** A producer of an earlier run: its batches from that sequence on are sealed again, as they were. */
  static resumed(id: string, sequenceFirst: number): Producer {
    const producer = new Producer(id)
    producer.#sequenceSealed = sequenceFirst - 1
    producer.#sequenceNext = sequenceFirst
    // The earlier run may have pushed more than what was handed over.
    producer.#highest = countMax
    return producer
  }

  get hasRoom(): boolean {
    return this.#unconfirmed.length < windowBatchesMax && this.#unconfirmedBytes < windowBytesMax
  }

  get unconfirmed(): readonly Sealed[] {
    return this.#unconfirmed
  }

  /** The first unconfirmed sequence number, or the next one if all are confirmed. */
  get firstUnconfirmed(): number {
    return this.#unconfirmed[0]?.sequence ?? this.#sequenceSealed + 1
  }

  /** Highest sequence that the queue may have, whatever it says. */
  get highest(): number {
    return this.#highest
  }

  get unconfirmedBytes(): number {
    return this.#unconfirmedBytes
  }

  get unconfirmedIncrements(): number {
    return this.#unconfirmedIncrements
  }

  /** The queue had all that was sealed when it last answered, or the store has it. */
  get isAllPushed(): boolean {
    const isMissingYet = ({ sequence }: Sealed) => isMissing(this.#givenUp, sequence)
    return this.#sequenceNext > this.#sequenceSealed && !this.#unconfirmed.some(isMissingYet)
  }

  /** Seals the element that `encode` makes for the next sequence, and returns that sequence. */
  seal(encode: (id: BatchId) => string, oldestMs: number): number {
    const id = { producer: this.id, sequence: this.#sequenceSealed + 1 }
    const element = encode(id)
    const written = queuedBatchOf(element)
    assert(
      written?.producer === id.producer && written.sequence === id.sequence,
      'a batch under a wrong name',
    )
    this.#sequenceSealed = id.sequence
    this.#unconfirmed.push({ ...written, element, oldestMs })
    this.#unconfirmedBytes += element.length
    this.#unconfirmedIncrements += written.increments
    return id.sequence
  }

  /** Returns the next push, or null when there is nothing to push. From then on the queue may have it. */
  nextPush(): Push | null {
    const first = this.#unconfirmed[0]
    if (first === undefined) return null
    const batch = this.#unconfirmed.find(
      ({ sequence }) => sequence >= this.#sequenceNext || isMissing(this.#givenUp, sequence),
    )
    if (batch === undefined) return null
    const { sequence, element } = batch
    const highest = this.#highest
    this.#highest = Math.max(highest, sequence)
    return {
      producer: this.id,
      sequence,
      firstUnconfirmed: first.sequence,
      highest,
      settled: this.#settledBelow(batch),
      element,
    }
  }

  /**
   * Must be called with every answer of the queue, to a push as well as to a heartbeat. Batches that the
   * queue lacks are pushed again, even if it had them before: it forgot them, or lost them on the way to the
   * store, or the store gave them up.
   */
  heard({ pushed, applied, givenUp }: Pick<Position, 'pushed' | 'applied' | 'givenUp'>): void {
    const isConfirmed = ({ sequence }: Sealed) =>
      sequence <= applied && !isWithin(givenUp?.ranges ?? [], sequence)
    for (const { element, increments } of this.#unconfirmed.filter(isConfirmed)) {
      this.#unconfirmedBytes -= element.length
      this.#unconfirmedIncrements -= increments
    }
    this.#unconfirmed = this.#unconfirmed.filter(each => !isConfirmed(each))
    this.#givenUp = givenUp
    this.#sequenceNext = Math.max(pushed + 1, this.firstUnconfirmed)
  }

  /**
   * Returns how far everything has come, by what the queue said last: not beyond a batch that was given up
   * and is still here.
   */
  reached(position: Position): Position {
    const { pushed, applied } = position
    if (this.firstUnconfirmed > applied) return position
    return {
      ...position,
      pushed: Math.min(pushed, this.firstUnconfirmed - 1),
      applied: this.firstUnconfirmed - 1,
    }
  }

  /** Between two runs of unconfirmed batches all is in the store: the queue need not have it first. */
  #settledBelow(batch: Sealed): number {
    let index = this.#unconfirmed.indexOf(batch)
    let { sequence } = batch
    while (this.#unconfirmed[--index]?.sequence === sequence - 1) sequence--
    return sequence - 1
  }
}
