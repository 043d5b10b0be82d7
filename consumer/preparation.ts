import { errorText, OperationError } from '../lib/errors.ts'
import { type Batch, decodeBatch } from '../queue/batch.ts'
import { ScannedBatch, scanElement } from '../queue/element-scanner.ts'
import { SumTable } from '../queue/sum-table.ts'
import { type MergedSums, mergeSums } from '../store/merged-sums.ts'
import type { Rejected } from '../store/store.ts'

/** Elements of the queue, ready for a transaction. */
export interface Prepared {
  readonly batches: readonly Batch[]
  /** The sums of all `batches`; undefined when some of them can only be decided about by the store. */
  readonly merged?: MergedSums
  /** Elements that are no batches. */
  readonly rejected: readonly Rejected[]
}

/** Decodes and merges, without looking at the store: what of it counts is decided in the transaction. */
export function prepareElements(elements: readonly string[]): Prepared {
  const table = new SumTable(elements.reduce((bytes, element) => bytes + Buffer.byteLength(element), 0))
  const batches: Batch[] = []
  const rejected: Rejected[] = []
  for (const element of elements) {
    try {
      batches.push(scanElement(element, table) ?? decodeBatch(element))
    } catch (error) {
      if (!(error instanceof OperationError)) throw error
      rejected.push({ element, reason: errorText(error) })
    }
  }
  const isMergeable = batches.length > 0 && batches.every(batch => batch.keyed.length === 0)
  if (!isMergeable) return { batches, rejected }
  // Their keys are no longer than their elements, where nothing was written.
  for (const batch of batches) if (!(batch instanceof ScannedBatch)) table.addAll(batch.keys, batch.sums)
  return { batches, merged: mergeSums(table), rejected }
}
