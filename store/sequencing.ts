import { assert } from '../lib/assert.ts'
import { batchName, type BatchId, type ReceivedBatch } from '../batch/batch.ts'
import { isWithin } from '../batch/sequence-ranges.ts'
import { type GivenUpRange, withoutSequence, withRange } from './given-up.ts'

/** A producer's progress before the batches at hand, as the store knows it. */
export interface Progress {
  readonly watermark: number
  /** Increments that the producer had sealed up to its watermark. */
  readonly sealed: number
}

export interface SequencingInput {
  /** The batches as read from the queue, in order. */
  readonly batches: readonly ReceivedBatch[]
  /** The progress of every producer of `batches` and of `parked`; absent means nothing was ever committed. */
  readonly progress: ReadonlyMap<string, Progress>
  /** All parked batches of every producer of `batches`, in any order. */
  readonly parked: readonly BatchId[]
  /** Batches that were given up and have not arrived; a producer without any may be absent. */
  readonly givenUp: ReadonlyMap<string, readonly GivenUpRange[]>
  /** The batch behind one of `parked`; null when what is there is none. */
  readonly loadParked: (id: BatchId) => ReceivedBatch | null
  /** Producers that have been silent for so long that their missing batches are given up. */
  readonly presumedDead: ReadonlySet<string>
}

export interface Sequenced {
  /**
   * Batches to add to the totals: each producer's next ones in the order of their sequences, and among them,
   * at or below its watermark, those that had been given up.
   */
  readonly apply: readonly ReceivedBatch[]
  /** Batches to keep until those before them arrive. */
  readonly park: readonly ReceivedBatch[]
  /** Parked batches to delete: applied now, known to be applied, or rejected. */
  readonly unpark: readonly BatchId[]
  /** The watermark of every producer of `batches` and of `parked`. */
  readonly watermarks: ReadonlyMap<string, number>
  /** Batches that are given up after this and have not arrived. */
  readonly givenUp: ReadonlyMap<string, readonly GivenUpRange[]>
  /** Batches that their producers cannot have sealed: they would have sealed less than before. */
  readonly reject: readonly ReceivedBatch[]
}

/**
 * Decides what each batch does. A batch at or below its producer's watermark is a redelivery and is
 * skipped, unless it was given up: then it is applied, and given up no longer. The next in order is applied
 * and moves the watermark; one further on is parked. Then parked ones that are now in order are applied, and
 * those of producers that are presumed dead are applied over the gap, which is given up. One that says that
 * its producer had sealed less than the batches before it is made up, and is as if it had not come. No clock,
 * no I/O.
 */
export function sequenceBatches(input: SequencingInput): Sequenced {
  const { batches, progress, parked, loadParked, presumedDead } = input
  const watermarks = new Map<string, number>()
  const watermarkOf = (producer: string) => watermarks.get(producer) ?? progress.get(producer)?.watermark ?? 0
  const sealed = new Map<string, number>()
  const apply: ReceivedBatch[] = []
  const park = new Map<string, ReceivedBatch>()
  const [reject, unpark]: [ReceivedBatch[], BatchId[]] = [[], []]
  const givenUp = new Map(input.givenUp)
  const givenUpOf = (producer: string) => givenUp.get(producer) ?? []
  /** Returns whether it took the batch. */
  const take = (batch: ReceivedBatch) => {
    const { producer } = batch
    const sealedBefore = sealed.get(producer) ?? progress.get(producer)?.sealed ?? 0
    if (batch.sealed - batch.increments < sealedBefore) {
      reject.push(batch)
      return false
    }
    apply.push(batch)
    watermarks.set(producer, batch.sequence)
    sealed.set(producer, batch.sealed)
    return true
  }
  const isGivenUp = ({ producer, sequence }: BatchId) => isWithin(givenUpOf(producer), sequence)
  /** Takes a batch that was given up. */
  const takeBack = (batch: ReceivedBatch) => {
    givenUp.set(batch.producer, withoutSequence(givenUpOf(batch.producer), batch.sequence))
    apply.push(batch)
  }
  const waiting = new Map<string, Map<number, BatchId>>()
  const wait = (id: BatchId) =>
    waiting.set(id.producer, (waiting.get(id.producer) ?? new Map<number, BatchId>()).set(id.sequence, id))
  for (const id of parked) {
    watermarks.set(id.producer, watermarkOf(id.producer))
    wait(id)
  }
  const alreadyParked = new Set(parked.map(batchName))
  for (const batch of batches) {
    const watermark = watermarkOf(batch.producer)
    watermarks.set(batch.producer, watermark)
    if (batch.sequence <= watermark) {
      if (isGivenUp(batch)) takeBack(batch)
    } else if (batch.sequence === watermark + 1) take(batch)
    else if (!alreadyParked.has(batchName(batch)) && !park.has(batchName(batch))) {
      park.set(batchName(batch), batch)
      wait(batch)
    }
  }

  for (const [producer, sequences] of waiting) {
    for (const [sequence, id] of [...sequences].sort(([left], [right]) => left - right)) {
      const watermark = watermarkOf(producer)
      const gap = sequence - watermark - 1
      if (gap > 0 && !presumedDead.has(producer)) break
      const name = batchName(id)
      if (gap < 0) {
        // Its predecessor came together with another copy of it, or an operator accepted that it is lost.
        const batch = isGivenUp(id) ? loadParked(id) : null
        if (batch !== null) takeBack(batch)
      } else {
        const batch = park.get(name) ?? loadParked(id)
        if (batch !== null && take(batch) && gap > 0)
          givenUp.set(producer, withRange(givenUpOf(producer), { first: watermark + 1, last: sequence - 1 }))
      }
      if (!park.delete(name)) unpark.push(id)
    }
  }
  for (const batch of park.values()) assert(batch.sequence > watermarkOf(batch.producer) + 1)
  return { apply, park: [...park.values()], unpark, watermarks, givenUp, reject }
}

/** Reports whether exactly these batches are to be applied: none skipped, parked, or taken from the parked. */
export function appliesAll({ apply }: Sequenced, batches: readonly ReceivedBatch[]): boolean {
  return apply.length === batches.length && apply.every((batch, index) => batch === batches[index])
}
