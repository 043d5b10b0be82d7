import type { Sum } from '../../queue/batch.ts'
import { BatchWriter } from '../../queue/batch-writer.ts'
import { batchKeysMax, sliceKeysMax } from '../../queue/limits.ts'
import type { Accumulator, Keyed } from './accumulator.ts'
import type { Generation } from './waiting.ts'

/**
 * An accumulator that takes no more, being cut into batches:
 *
 *     writing, slice by slice ──▶ complete ──▶ cut ──▶ writing the next one, until no key is left
 */
export class Sealing {
  /** When its oldest increment was accepted. */
  readonly oldest: NonNullable<Accumulator['oldest']>
  readonly #generation: Generation
  readonly #entries: ReturnType<Accumulator['entries']>
  #sumCount: number
  readonly #keyed: readonly Keyed[]
  #keyCount: number
  /** The batch that is being written, and how many increments its sums are made of. */
  #writer = new BatchWriter()
  #increments = 0
  /** Keyed requests in batches that were cut; those to `#keyedWritten` are in the one being written. */
  #keyedCut = 0
  #keyedWritten = 0

  /** `generation` is told when the last batch is cut. */
  constructor(accumulator: Accumulator, oldest: Sealing['oldest'], generation: Generation) {
    this.oldest = oldest
    this.#generation = generation
    this.#entries = accumulator.entries()
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
    const room = Math.min(sliceKeysMax, batchKeysMax - this.#writer.keyCount)
    const written = this.#sumCount > 0 ? this.#writeSums(room) : this.#writeKeyed(room)
    this.#keyCount -= written
    return written === 0 || this.#keyCount === 0 || this.#writer.keyCount === batchKeysMax
  }

  /** Cuts the batch that is complete: `seal` seals it and answers its sequence. */
  cut(seal: (writer: BatchWriter, increments: number) => number): void {
    const sequence = seal(this.#writer, this.#increments)
    for (let index = this.#keyedCut; index < this.#keyedWritten; index++) {
      const keyed = this.#keyed[index]!
      keyed.sequenceLast = sequence
      keyed.position = index - this.#keyedCut
    }
    this.#keyedCut = this.#keyedWritten
    this.#writer = new BatchWriter()
    this.#increments = 0
    if (this.#keyCount === 0) this.#generation.sequenceLast = sequence
  }

  #writeSums(room: number): number {
    const keyCount = Math.min(room, this.#sumCount)
    const keys: string[] = []
    const sums: Sum[] = []
    for (let index = 0; index < keyCount; index++) {
      const { key, sum, count } = this.#entries.next().value!
      keys.push(key)
      sums.push(sum)
      this.#increments += count
    }
    this.#writer.addSums(keys, sums)
    this.#sumCount -= keyCount
    return keyCount
  }

  /** Those that come next, none of them divided, as far as they fit: nothing when the batch is full. */
  #writeKeyed(room: number): number {
    const batchRoom = batchKeysMax - this.#writer.keyCount
    const start = this.#keyedWritten
    let keyCount = 0
    for (; this.#keyedWritten < this.#keyed.length; this.#keyedWritten++) {
      const { request } = this.#keyed[this.#keyedWritten]!
      const isFirst = this.#keyedWritten === start
      if (keyCount + request.keys.length > (isFirst ? batchRoom : room)) break
      keyCount += request.keys.length
      this.#increments += request.increments
    }
    this.#writer.addKeyed(this.#keyed.slice(start, this.#keyedWritten).map(({ request }) => request))
    return keyCount
  }
}
