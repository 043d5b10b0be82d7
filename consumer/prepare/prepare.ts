import { errorText, OperationError } from '../../lib/errors.ts'
import {
  decodeBatch,
  headUnitsMax,
  type ReceivedBatch,
  refuseNewer,
  type Element,
} from '../../batch/batch.ts'
import { type BatchHead, ScannedBatch, scanElement } from '../../batch/reader.ts'
import { KeyCache } from '../../store/merge/key-cache.ts'
import { SumTable } from '../../batch/sum-rows.ts'
import { type MergedSums, mergeSums } from '../../store/merge/merged-sums.ts'
import type { Rejected } from '../../store/store.ts'

/** Elements of the queue, ready for a transaction. */
export interface Prepared {
  readonly batches: readonly ReceivedBatch[]
  /** The sums of all `batches`; undefined when some of them can only be decided about by the store. */
  readonly merged?: MergedSums
  /** Elements that are no batches. */
  readonly rejected: readonly Rejected[]
}

/**
 * Decodes and merges, without looking at the store: what of it counts is decided in the transaction. Goes up
 * to the first batch of a later format, which must stay where it is; throws `batch_newer` when nothing is
 * before it.
 */
export function prepareElements(elements: readonly Element[]): Prepared {
  const { table, scan } = scannerOf(elements)
  const batches: ReceivedBatch[] = []
  const rejected: Rejected[] = []
  for (const element of elements) {
    try {
      if (typeof element === 'string') batches.push(scan(element) ?? decodeBatch(element))
      else rejected.push({ element, reason: problemOfBytes(element) })
    } catch (error) {
      if (!(error instanceof OperationError)) throw error
      if (error.code === 'batch_newer') {
        if (batches.length + rejected.length === 0) throw error
        break
      }
      rejected.push({ element, reason: errorText(error) })
    }
  }
  const isMergeable = batches.every(batch => batch.keyed.length === 0)
  if (!isMergeable) return { batches, rejected }
  // Their keys are no longer than their elements, where nothing was written.
  for (const batch of batches) if (!(batch instanceof ScannedBatch)) table.addAll(batch.keys, batch.sums)
  return { batches, merged: mergeSums(table), rejected }
}

/** Throws `batch_newer`: a later format need not be text. */
function problemOfBytes(element: Buffer): string {
  refuseNewer(element.toString('latin1', 0, headUnitsMax))
  return 'an element of the queue is no text in UTF-8'
}

/** A table with room for these elements, and what reads one of them into it. */
function scannerOf(elements: readonly Element[]) {
  const byteCount = elements.reduce((bytes, element) => bytes + Buffer.byteLength(element), 0)
  const table = new SumTable(byteCount)
  // A key stands once in a batch.
  const known = elements.length === 1 ? null : new KeyCache(table, byteCount)
  const scan = (element: string) => {
    const { count } = table
    const scanned = scanElement(element, table)
    known?.merge(count)
    return scanned
  }
  return { table, scan }
}

/** The elements in a form that crosses from thread to thread, where all are of the usual shape. */
export interface Answer {
  readonly heads: readonly BatchHead[]
  readonly sumsOfSums: readonly bigint[]
  readonly merged: MergedSums
}

/** Null when any element needs decodeBatch. */
export function packPrepared(elements: readonly Element[]): Answer | null {
  const { table, scan } = scannerOf(elements)
  const heads: BatchHead[] = []
  const sumsOfSums: bigint[] = []
  for (const element of elements) {
    const scanned = typeof element === 'string' ? scan(element) : null
    if (scanned === null) return null
    const { producer, sequence, oldestMs, increments, sealed, sumOfSums } = scanned
    heads.push({ producer, sequence, oldestMs, increments, sealed })
    sumsOfSums.push(sumOfSums)
  }
  return { heads, sumsOfSums, merged: mergeSums(table) }
}

/** `elements` are those that were packed. */
export function unpackPrepared(
  { heads, sumsOfSums, merged }: Answer,
  elements: readonly Element[],
): Prepared {
  const batches = heads.map(
    (head, index) => new ScannedBatch(head, sumsOfSums[index]!, elements[index] as string),
  )
  return { batches, merged, rejected: [] }
}
