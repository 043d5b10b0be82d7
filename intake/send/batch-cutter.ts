import { keysTakenBy } from '../../batch/batch.ts'
import type { BatchWriter } from '../../batch/writer.ts'
import { batchKeysMax, sliceKeysMax } from '../../batch/limits.ts'
import type { Accumulator, Keyed } from '../count/accumulator.ts'
import type { FlushCohort } from './ack-waiters.ts'

/** Slices of a batch in one turn of the event loop. */
export const slicesMax = 8

/** Returns how many slices to write after a turn so long: more after a long one, as the next may be long. */
export function slicesAfter(turnMs: number): number {
  return Math.min(turnMs / 2.5, slicesMax)
}

export interface BatchCutterOptions {
  readonly accumulator: Accumulator
  /** When its oldest increment was accepted. */
  readonly oldest: NonNullable<Accumulator['oldest']>
  /** Hears when the last batch is cut. */
  readonly cohort: FlushCohort
  /** A writer that nobody else uses until then. */
  readonly writer: BatchWriter
}

/**
 * An accumulator that takes no more, being cut into batches:
 *
 *     writing, slice by slice ──▶ complete ──▶ cut ──▶ writing the next one, until no key is left
 */
export class BatchCutter {
  readonly oldest: BatchCutterOptions['oldest']
  readonly #cohort: FlushCohort
  readonly accumulator: Accumulator
  /** Sums that are not yet written. */
  #sumCount: number
  readonly #keyed: readonly Keyed[]
  #keyCount: number
  /** Holds the batch that is being written. */
  readonly #writer: BatchWriter
  /** Increments in that batch. */
  #increments = 0
  /** Keyed requests in batches that were cut; those to `#keyedWritten` are in the one being written. */
  #keyedCut = 0
  #keyedWritten = 0

  constructor({ accumulator, oldest, cohort, writer }: BatchCutterOptions) {
    this.oldest = oldest
    this.#cohort = cohort
    this.#writer = writer
    this.accumulator = accumulator
    this.#sumCount = accumulator.summedKeyCount
    this.#keyed = accumulator.keyed
    this.#keyCount = accumulator.keyCount
  }

  /** Keys that are not yet written. */
  get keyCount(): number {
    return this.#keyCount
  }

  /** Every key is in a batch that was cut. */
  get isOver(): boolean {
    return this.#keyCount === 0 && this.#writer.keyCount === 0
  }

  /**
   * Writes some more of a batch: no more than `sliceKeysMax` keys, unless a single keyed request has more.
   * True when the batch is complete.
   */
  writeSlice(): boolean {
    const written = this.#sumCount > 0 ? this.#writeSums() : this.#writeKeyed()
    this.#keyCount -= written
    return written === 0 || this.#keyCount === 0 || this.#writer.keyCount === batchKeysMax
  }

  /** Cuts the batch that is complete: `seal` seals it and returns its sequence. */
  cut(seal: (writer: BatchWriter, increments: number) => number): void {
    const sequence = seal(this.#writer, this.#increments)
    for (let index = this.#keyedCut; index < this.#keyedWritten; index++) {
      const keyed = this.#keyed[index]!
      keyed.sequenceLast = sequence
      keyed.position = index - this.#keyedCut
    }
    this.#keyedCut = this.#keyedWritten
    this.#increments = 0
    if (this.#keyCount === 0) this.#cohort.sequenceLast = sequence
  }

  /** Writes as many sums as certainly fit, again and again, which comes near to as many as really fit. */
  #writeSums(): number {
    const keyCount = this.#sumCount
    const sliceEnd = Math.max(0, keyCount - sliceKeysMax)
    for (;;) {
      const room = Math.min(this.#sumCount - sliceEnd, this.#writer.sumRoom)
      if (room === 0) return keyCount - this.#sumCount
      this.#increments += this.accumulator.write(room, this.#writer)
      this.#sumCount -= room
    }
  }

  /** Writes the next keyed requests that fit, undivided. Returns their keys; 0 when the batch is full. */
  #writeKeyed(): number {
    let keyCount = 0
    for (; this.#keyedWritten < this.#keyed.length; this.#keyedWritten++) {
      const { request } = this.#keyed[this.#keyedWritten]!
      if (keyCount > 0 && keyCount + keysTakenBy(request) > sliceKeysMax) break
      if (!this.#writer.tryAddKeyed(request)) break
      keyCount += keysTakenBy(request)
      this.#increments += request.increments
    }
    return keyCount
  }
}
