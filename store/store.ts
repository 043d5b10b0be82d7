import type { BatchId, Element, ReceivedBatch, Sum } from '../batch/batch.ts'
import type { BatchOutcomes } from '../batch/outcomes.ts'
import type { SequenceRange } from '../batch/sequence-ranges.ts'
import type { MergedSums } from './merge/merged-sums.ts'

/** An element of the queue that is no batch, or that its producer cannot have sent. */
export interface Rejected {
  readonly element: Element
  /** In words of ours alone. */
  readonly reason: string
}

export interface CommitRequest {
  /** As read from the queue, in order. */
  readonly batches: readonly ReceivedBatch[]
  /**
   * All sums of `batches`, made ahead of the transaction. Used where every one of them is to be applied and
   * nothing else, which is usual; decided inside the transaction.
   */
  readonly merged?: MergedSums
  readonly rejected: readonly Rejected[]
  /** Producers whose missing batches are given up. */
  readonly presumedDead: ReadonlySet<string>
  /** Producers with parked batches that are to be told of, besides those of `batches`; default none. */
  readonly waiting?: ReadonlySet<string>
  /** A keyed request that would make more idempotency keys than this is refused. Default: no bound. */
  readonly idempotencyKeysMax?: number
}

export interface CommitResult {
  /** The committed watermark of every producer that the request is about. */
  readonly watermarks: ReadonlyMap<string, number>
  /** All batches of these producers that now wait in the store. */
  readonly parked: readonly BatchId[]
  /** Batches that were added to the totals by this application. */
  readonly applied: readonly ReceivedBatch[]
  /** Batches that only the store could know to be none. */
  readonly rejected: readonly Rejected[]
  /** The outcomes of every batch with keyed requests that was given or applied. */
  readonly outcomes: readonly BatchOutcomes[]
  /**
   * Increments of requests that were counted before, whose key was used for another one, or for whose key
   * there was no room.
   */
  readonly duplicateCount: number
  /** Keyed requests that asked for room for their key, whether they found any or not. */
  readonly newKeyCount: number
  /** Rows of `numbers` that were written. */
  readonly rowCount: number
  /** Sums that did not fit into a total. */
  readonly setAsideCount: number
  /** Increments that this application declared lost, per producer. */
  readonly lost: ReadonlyMap<string, number>
  /** Increments that an earlier one had declared lost and that arrived now, per producer. */
  readonly recovered: ReadonlyMap<string, number>
  /** What was given up and has not arrived, for every producer in `watermarks` that has any. */
  readonly givenUp: ReadonlyMap<string, readonly SequenceRange[]>
}

/** The ledger of all producers together, in increments: `sealed` is the sum of the others. */
export interface Account {
  readonly sealed: number
  readonly applied: number
  readonly duplicate: number
  readonly lost: number
}

/** Where totals live. Every method is one durable transaction. */
export interface Store {
  readonly id: string
  /**
   * Throws OperationError `store_gone` or `store_replaced` when what is at the path is not the store any
   * more; see DatabaseFiles. So does every transaction.
   */
  check(): void
  /**
   * Applies batches in one transaction: totals and watermarks move together or not at all.
   * A batch at or below its producer's watermark is a redelivery and is skipped, unless it was given up; one
   * that is ahead is parked.
   * On any throw the batches are still in the queue, and the store is unchanged, or knows them again:
   * `store_gone` may come after a commit to files that have lost their name meanwhile.
   */
  apply(application: CommitRequest): CommitResult
  /** Highest committed sequence per producer. */
  watermarks(): Map<string, number>
  /** Batches at or below the watermark that have not arrived, of every producer that has any. */
  givenUp(): Map<string, readonly SequenceRange[]>
  account(): Account
  /** All batches that wait in the store for one before them. */
  parked(): BatchId[]
  /**
   * Moves watermarks up to what the queue remembers as confirmed, which an older copy of the store has
   * never seen. The batches in between are given up; the next batch of each producer says how many increments
   * they held.
   */
  acceptLoss(watermarks: ReadonlyMap<string, number>): void
  /** Idempotency keys that are kept. */
  idempotencyKeyCount(): number
  /** Drops up to `countMax` idempotency keys that were applied before then; returns how many. */
  forgetIdempotencyKeys(beforeMs: number, countMax: number): number
  /**
   * Moves what is committed from the write-ahead log into the database file, as far as nobody reads what is
   * there; never waits for readers. `empty` takes the log's space away, too. Returns whether all was done.
   */
  checkpoint(what: 'copy' | 'empty'): boolean
  /** What is committed and not yet in the database file. */
  uncopiedBytes(): number
  /** Size of the write-ahead log on the disk: it is used again from its start once all of it was copied. */
  logBytes(): number
  close(): void
}

/** Reads totals beside the writer. */
export interface StoreReader {
  /** Zero for a key that was never counted. */
  total(key: string): Sum
  close(): void
}
