import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/process/log.ts'
import type { Metrics } from '../lib/process/metrics.ts'
import type { BatchId, Element, ReceivedBatch, Sum } from '../batch/batch.ts'
import type { BatchOutcomes } from '../batch/outcomes.ts'
import type { SequenceRange } from '../batch/sequence-ranges.ts'
import type { MergedSums } from './merge/merged-sums.ts'

/** An element of the queue that is no batch, or that its producer cannot have sent. */
export interface Rejected {
  readonly element: Element
  /** Our own words: nothing of the element is in it. */
  readonly reason: string
}

export interface CommitRequest {
  /** The batches as read from the queue, in order. */
  readonly batches: readonly ReceivedBatch[]
  /**
   * All sums of `batches`, made ahead of the transaction. Used where every one of them is to be applied and
   * nothing else, which is usual; decided inside the transaction.
   */
  readonly merged?: MergedSums
  /** Elements that are no batches; the newest ones are kept for the operator. */
  readonly rejected: readonly Rejected[]
  /** Producers whose missing batches are given up. */
  readonly presumedDead: ReadonlySet<string>
  /** Producers with parked batches that are to be told of, besides those of `batches`; default none. */
  readonly askedAbout?: ReadonlySet<string>
}

export interface CommitResult {
  /** The committed watermark of every producer that the request is about. */
  readonly watermarks: ReadonlyMap<string, number>
  /** All batches of these producers that now wait in the store. */
  readonly parked: readonly BatchId[]
  /** Batches that were added to the totals by this commit. */
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
  /** Rows of `numbers` that were written. */
  readonly rowCount: number
  /** Sums that did not fit into a total. */
  readonly setAsideCount: number
  /** Increments that this commit declared lost, per producer. */
  readonly lost: ReadonlyMap<string, number>
  /** Increments that an earlier one had declared lost and that arrived now, per producer. */
  readonly recovered: ReadonlyMap<string, number>
  /** Batches that were given up and have not arrived, for every producer in `watermarks` that has any. */
  readonly givenUp: ReadonlyMap<string, readonly SequenceRange[]>
}

/** The ledger of all producers together, in increments: `sealed` is the sum of the others. */
export interface Account {
  readonly sealed: number
  readonly applied: number
  readonly duplicate: number
  readonly lost: number
}

/** The store's progress with each producer. */
export interface Watermarks {
  /** Highest committed sequence per producer. */
  readonly applied: ReadonlyMap<string, number>
  /** Batches at or below the watermark that have not arrived, of every producer that has any. */
  readonly givenUp: ReadonlyMap<string, readonly SequenceRange[]>
}

/**
 * Where totals live, and what was counted already. One consumer has it, and makes one call after the other.
 *
 * Every method rejects with an OperationError of `errors.ts`, whose policy says whether the same call may
 * succeed later, or only in a fresh process (`restart`), or not before an operator has acted (`never`).
 */
export interface Store {
  readonly id: string
  /**
   * Applies batches in one durable transaction: totals and watermarks move together or not at all.
   * A batch at or below its producer's watermark is a redelivery and is skipped, unless it was given up; one
   * that is ahead is parked, or rejected where too many wait already.
   * After a rejection the batches are still in the queue, and the store is unchanged, or knows them again:
   * `store_gone` may come after a commit to files that have lost their name meanwhile.
   */
  commit(request: CommitRequest): Promise<CommitResult>
  watermarks(): Promise<Watermarks>
  /** The ledger. */
  account(): Promise<Account>
  /** All batches that wait in the store for one before them. */
  parked(): Promise<BatchId[]>
  /**
   * Moves watermarks up to what the queue remembers as confirmed, which an older copy of the store has
   * never seen. The batches in between are given up; the next batch of each producer says how many increments
   * they held.
   */
  acceptLoss(watermarks: ReadonlyMap<string, number>): Promise<void>
  /**
   * Does what the store needs done between two commits, in bounded pieces: to be called after each commit,
   * `busy`, and now and then while there is none, `idle`. Resolves to what cannot be done at present, as
   * readiness names it with the code of the error; that is tried again, and logged here. Rejects with
   * `store_gone` or `store_replaced` when the store is not there any more.
   */
  maintain(when: 'busy' | 'idle'): Promise<string[]>
  close(): Promise<void>
}

/** The parts that a store is opened with, wherever its database is. */
export interface StoreParts {
  readonly clock: Clock
  readonly log: Log
  /** Gets the metrics of the database, if it is given. */
  readonly metrics?: Metrics
  /** The time for which idempotency keys are kept, in ms. Default: for ever. */
  readonly idempotencyWindowMs?: number
  /** A keyed request that would make more idempotency keys than this is refused. Default: no bound. */
  readonly idempotencyKeysMax?: number
}

export interface OpenParts extends StoreParts {
  /** Refuse with `store_gone` where there is no database yet, rather than make one. Default: false. */
  readonly mustExist?: boolean
}

/** Reads totals beside the writer. Rejects as a store does. */
export interface StoreReader {
  /** Resolves to zero for a key that was never counted. */
  total(key: string): Promise<Sum>
  close(): Promise<void>
}
