import { assert } from '../lib/assert.ts'
import type { Batch, BatchId } from '../queue/batch.ts'

/** What the store knows of a producer before the batches at hand. */
export interface Progress {
  readonly watermark: number
  /** Increments that the producer had sealed up to its watermark. */
  readonly sealed: number
}

export interface SequencingInput {
  /** As read from the queue, in order. */
  readonly batches: readonly Batch[]
  /** Of every producer of `batches` and of `parked`; absent means nothing was ever committed. */
  readonly progress: ReadonlyMap<string, Progress>
  /** In the store's table, in any order. */
  readonly parked: readonly BatchId[]
  /** The batch behind one of `parked`. */
  readonly loadParked: (id: BatchId) => Batch
  /** Producers that have been silent for so long that their missing batches are given up. */
  readonly gone: ReadonlySet<string>
}

export interface Sequenced {
  /** To be added to the totals, each producer's in the order of its sequences. */
  readonly apply: readonly Batch[]
  /** To be kept until what they have to follow arrives. */
  readonly park: readonly Batch[]
  /** To be deleted from the table of parked batches: applied now, or known to be applied. */
  readonly unpark: readonly BatchId[]
  /** Of every producer of `batches` and of `parked`. */
  readonly watermarks: ReadonlyMap<string, number>
  /** Batches given up, per producer. */
  readonly missing: ReadonlyMap<string, number>
}

/**
 * Decides what each batch does. A batch at or below its producer's watermark is a redelivery and is
 * skipped; the next in order is applied and moves the watermark; one further on is parked. Then parked ones
 * that are now in order are applied, and those of producers that are gone are applied over the gap. No
 * clock, no I/O.
 */
export function sequenceBatches({ batches, progress, parked, loadParked, gone }: SequencingInput): Sequenced {
  const watermarks = new Map<string, number>()
  const watermarkOf = (producer: string) => watermarks.get(producer) ?? progress.get(producer)?.watermark ?? 0
  const apply: Batch[] = []
  const park = new Map<string, Batch>()
  const unpark: BatchId[] = []
  const missing = new Map<string, number>()

  const take = (batch: Batch) => {
    apply.push(batch)
    watermarks.set(batch.producer, batch.sequence)
  }
  const waiting = new Map<string, Map<number, BatchId>>()
  const wait = (id: BatchId) => {
    const sequences = waiting.get(id.producer) ?? new Map<number, BatchId>()
    waiting.set(id.producer, sequences.set(id.sequence, id))
  }
  for (const id of parked) {
    watermarks.set(id.producer, watermarkOf(id.producer))
    wait(id)
  }
  const alreadyParked = new Set(parked.map(nameOf))

  for (const batch of batches) {
    const watermark = watermarkOf(batch.producer)
    watermarks.set(batch.producer, watermark)
    if (batch.sequence <= watermark) continue
    if (batch.sequence === watermark + 1) take(batch)
    else if (!alreadyParked.has(nameOf(batch)) && !park.has(nameOf(batch))) {
      park.set(nameOf(batch), batch)
      wait(batch)
    }
  }

  for (const [producer, sequences] of waiting) {
    for (const [sequence, id] of [...sequences].sort(([left], [right]) => left - right)) {
      const watermark = watermarkOf(producer)
      const gap = sequence - watermark - 1
      if (gap > 0 && !gone.has(producer)) break
      if (gap > 0) missing.set(producer, (missing.get(producer) ?? 0) + gap)
      const name = nameOf(id)
      // Below the watermark: its missing predecessor came together with another copy of it.
      if (gap >= 0) take(park.get(name) ?? loadParked(id))
      if (!park.delete(name)) unpark.push(id)
    }
  }
  for (const batch of park.values()) assert(batch.sequence > watermarkOf(batch.producer) + 1)
  return { apply, park: [...park.values()], unpark, watermarks, missing }
}

/** Whether exactly these batches are to be applied: nothing skipped, parked, or taken from the parked. */
export function appliesAll({ apply }: Sequenced, batches: readonly Batch[]): boolean {
  return apply.length === batches.length && apply.every((batch, index) => batch === batches[index])
}

function nameOf({ producer, sequence }: BatchId): string {
  return `${producer} ${sequence}`
}
