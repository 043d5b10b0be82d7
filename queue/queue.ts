import type { BatchId, Element } from '../batch/batch.ts'
import type { BatchOutcomes } from '../batch/outcomes.ts'
import { isWithin, type SequenceRange } from '../batch/sequence-ranges.ts'

/** The queue's knowledge of one producer. */
export interface Position {
  /** Highest sequence in or through the list. */
  readonly pushed: number
  /** Watermark, as the consumer last published it. */
  readonly applied: number
  /**
   * Outcomes of the keyed requests in its batches, by sequence: a letter of `outcomes` for each request, in
   * their order. Holds every such batch from `firstUnconfirmed`, as the producer gave it, up to `applied`.
   */
  readonly outcomes: ReadonlyMap<number, string>
  /** Absent when nothing was given up. */
  readonly givenUp?: GivenUp
}

/**
 * Batches of one producer that the store did not wait for any longer. They are at or below its watermark, and
 * not applied: one that arrives all the same still is.
 */
export interface GivenUp {
  /** Ranges of sequences, in order. */
  readonly ranges: readonly SequenceRange[]
  /** Sequences in the ranges whose batches have come back and are in the list. */
  readonly queued: ReadonlySet<number>
}

/** Reports whether the store would still take this batch, and the list does not have it. */
export function isMissing(givenUp: GivenUp | undefined, sequence: number): boolean {
  return givenUp !== undefined && !givenUp.queued.has(sequence) && isWithin(givenUp.ranges, sequence)
}

export interface Push extends BatchId {
  /** The producer's first unconfirmed sequence: it has heard what became of those below. */
  readonly firstUnconfirmed: number
  /** Its highest sequence that may be in or through the list before this push. Default: any may be. */
  readonly highest?: number
  /**
   * All up to here was committed or given up: it does not have to be in the list. Default
   * `firstUnconfirmed - 1`.
   */
  readonly settled?: number
  /** The encoded batch. */
  readonly element: string
}

/**
 * The queue as a producer sees it. A call that rejects may have happened, may still happen later, or may
 * never: the protocol holds in each case, so callers just try again.
 */
export interface ProducerQueue {
  /** True if pushed batches outlive every process of this service. */
  readonly durable: boolean
  /** Resolves once the queue can be used; rejects when this try has failed. The other calls try again. */
  connect(): Promise<void>
  /**
   * Appends the batch if it is the next in order after `max(pushed, settled)`, or was given up and is not in
   * the list, and if the list has room; does nothing otherwise. Either way the result is the producer's
   * position, and it counts as alive. There was no room if `pushed` is just below the batch, or if a batch
   * that was given up is still missing.
   */
  push(push: Push): Promise<Position>
  /**
   * Says that the producer lives, and resolves to its position; outcomes below `firstUnconfirmed` are
   * dropped. Rejects, as a push does, with `queue_altered` where that is beyond `highest`: somebody else
   * wrote that, and the producer is set back to below `firstUnconfirmed`, so that it pushes again what it
   * has. With `looksIntoList`, it is set back, too, if the list lacks what it is said to have pushed: a
   * producer that sends no more does not notice otherwise that somebody took batches from the list.
   */
  heartbeat(
    producer: string,
    firstUnconfirmed: number,
    highest?: number,
    looksIntoList?: boolean,
  ): Promise<Position>
  /** Id of the store that the shard is bound to; null while it is bound to none. */
  storeId(): Promise<string | null>
  /**
   * Resolves to the time for which the consumer keeps idempotency keys, as it announced it last; others who
   * can write to the queue may have written it. Null when nothing was announced, or nothing for a while.
   */
  idempotencyWindow(): Promise<string | null>
  /**
   * Wakes up when watermarks may have moved. May be late, spurious or missing. Returns how to stop listening.
   */
  onApplied(listener: () => void): () => void
  close(): Promise<void>
}

export interface ReadBounds {
  /** Number of elements at the head that are left out. Default 0. */
  readonly skip?: number
  /** Number of elements. Default `readBatchesMax`. */
  readonly batchesMax?: number
  /** Bytes at most, but at least one element, whatever its size. Default and limit `readBytesMax`. */
  readonly bytesMax?: number
}

/** The results of a commit that the queue may act upon; see `publish`. */
export interface Publication {
  /** The watermark of every producer in what was read, and of every producer with parked batches. */
  readonly watermarks: ReadonlyMap<string, number>
  /** Batches that wait in the store for one before them. */
  readonly parked: readonly BatchId[]
  /** The outcomes of every batch with keyed requests that was read or applied. */
  readonly outcomes: readonly BatchOutcomes[]
  /** Elements that are no batches; the store keeps them, so they may go. */
  readonly discarded: readonly Element[]
  /** Batches given up that have not arrived, by producer, of those in `watermarks`. Default: none. */
  readonly givenUp?: ReadonlyMap<string, readonly SequenceRange[]>
}

/** The queue as the consumer of a shard sees it. Every call may be repeated at any time. */
export interface ConsumerQueue {
  /** Binds the shard to this store unless it is bound already. Resolves to the id it is bound to. */
  bind(storeId: string): Promise<string>
  /**
   * Reads elements, oldest first, without removing them. Meant for one reader, but safe for several: the
   * protocol repairs that elements are read twice, or skipped as others were removed. An element larger than
   * any batch may come as a text that only names it, and is no batch, either; discarding that discards it.
   */
  read(bounds?: ReadBounds): Promise<Element[]>
  /**
   * Does all this in one atomic step: raises `applied` to the watermarks; notes what was given up, unless a
   * higher watermark is known; keeps the outcomes for their producers; sets `pushed` of a producer with
   * parked batches back to its watermark, so that it sends the missing ones again; removes from the head what
   * is applied, parked or discarded, and not what was given up and came back; and, if the list is empty then,
   * sets every `pushed` back to its `applied`.
   *
   * The later of two publications of one watermark gives up no more than the earlier: in the wrong order they
   * bring back at most what has arrived, which the store knows when it comes again.
   */
  publish(publication: Publication): Promise<void>
  /** Announces how long idempotency keys are kept; holds for `windowAnnouncedMs` at least. */
  announceWindow(span: string): Promise<void>
  /** Every watermark that was ever published for the shard and is not forgotten. */
  watermarks(): Promise<Map<string, number>>
  /**
   * When each of these producers last said that it lives, as an opaque text that changes whenever it does.
   */
  heartbeats(producers: readonly string[]): Promise<Map<string, string>>
  /**
   * Drops what the queue remembers of producers that have been silent for `silentMs`; does nothing while
   * there is anything in the list. Safe otherwise: a producer that comes back brings all that is needed in
   * its next push. Resolves to how many were forgotten.
   */
  forget(silentMs: number): Promise<number>
  /** Number of elements in the list. */
  length(): Promise<number>
  /** Wakes up when the list may have grown. May be late, spurious or missing. Returns how to stop listening. */
  onPushed(listener: () => void): () => void
  close(): Promise<void>
}
