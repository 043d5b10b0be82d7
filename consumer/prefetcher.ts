import type { Log } from '../lib/process/log.ts'
import type { Element } from '../batch/batch.ts'
import type { ConsumerQueue } from '../queue/queue.ts'
import { TransactionSize } from './transaction-size.ts'
import { type Prepared, prepareElements } from './prepare/prepare.ts'
import { Preparer } from './prepare/worker-client.ts'

/**
 * A backlog is begun with this share of a transaction, and each of the next ones is larger by so much: there
 * is something to commit soon, and what it takes to prepare the next one fits into that.
 */
const shareFirst = 1 / 8
const shareGrowth = 1.3

/** Elements of the queue. */
interface Read {
  readonly elements: readonly Element[]
  readonly bytes: number
  /** True when there may be more behind them. */
  readonly isFull: boolean
}

/** Elements on their way into a transaction. */
export interface Taken extends Read {
  readonly prepared: Prepared | Promise<Prepared>
}

/** The amount to take at a time, and who prepares it; a simulation has its own. */
export interface PrefetcherParts {
  readonly size: Pick<TransactionSize, 'next' | 'isFull' | 'committed'>
  readonly preparer: Pick<Preparer, 'prepare' | 'close'>
}

export function usualPrefetcherParts(log: Log): PrefetcherParts {
  return { size: new TransactionSize(), preparer: new Preparer(log) }
}

/**
 * Takes elements from the head of the queue, as many as make a transaction of the right length. While the
 * list is long, the next ones are read and prepared during the transaction of those before.
 */
export class Prefetcher {
  readonly #queue: ConsumerQueue
  readonly #size: PrefetcherParts['size']
  readonly #preparer: PrefetcherParts['preparer']
  /** Behind the last ones; null when there was nothing, or anything went wrong since. */
  #ahead: Taken | null = null
  /** The share of what the size allows, for the next read. */
  #share = shareFirst

  constructor(queue: ConsumerQueue, { size, preparer }: PrefetcherParts) {
    this.#queue = queue
    this.#size = size
    this.#preparer = preparer
  }

  /** Throws what the queue throws. Forgets what was read ahead unless `published` is called for these. */
  async take(): Promise<{ taken: Taken; ahead: Taken | null }> {
    if (this.#ahead !== null) {
      const taken = this.#ahead
      this.#ahead = null
      return { taken, ahead: await this.#readAhead(taken) }
    }
    this.#share = shareFirst
    const first = await this.#read(0)
    // This thread has nothing else to do before its first transaction, while the other one is busy already.
    const ahead = await this.#readAhead(first)
    return { taken: { ...first, prepared: prepareElements(first.elements) }, ahead }
  }

  /** Tells that the elements before them are off the head now: they are next. */
  published(ahead: Taken | null): void {
    this.#ahead = ahead !== null && ahead.elements.length > 0 ? ahead : null
  }

  /** Tells how long a transaction of so many bytes took, and how old its oldest increment was then. */
  committed(transaction: { bytes: number; ms: number; ageMs: number }): void {
    this.#size.committed(transaction)
  }

  close(): Promise<void> {
    return this.#preparer.close()
  }

  /** Null when there is nothing behind `taken`. A few are prepared at once, many in the other thread. */
  async #readAhead(taken: Read): Promise<Taken | null> {
    if (!taken.isFull) return null
    const read = await this.#read(taken.elements.length)
    const prepared = read.isFull ? this.#preparer.prepare(read.elements) : prepareElements(read.elements)
    return { ...read, prepared }
  }

  async #read(skip: number): Promise<Read> {
    const asked = this.#size.next(this.#share)
    const elements = await this.#queue.read({ skip, ...asked })
    this.#share = Math.min(1, this.#share * shareGrowth)
    const bytes = elements.reduce((sum, element) => sum + element.length, 0)
    const isFull = this.#size.isFull({ batchCount: elements.length, bytes }, asked)
    return { elements, bytes, isFull }
  }
}
