import { assert } from '../lib/assert.ts'
import { readBytesMax } from '../queue/limits.ts'

const mebibyte = 1024 * 1024

/** The time that a transaction aims to take: who waits for its commit waits for the one before, too. */
const transactionMsUsual = 250
/** While the list is longer than that: larger transactions write a row in less time, so it ends sooner. */
const transactionMsBehind = 1_000
/** The consumer is behind when what it commits is older than this. */
const behindMs = 1_000
/** Elements of one transaction; with the next ones, which are prepared meanwhile, they bound the memory. */
const bytesMax = 16 * mebibyte
const bytesMin = mebibyte
const bytesFirst = 4 * mebibyte
const batchesMax = 1_024
/** Weight of the last transaction in what is expected of the next one. */
const weight = 0.5
assert(bytesMax <= readBytesMax)

export interface Amount {
  readonly batchesMax: number
  readonly bytesMax: number
}

/**
 * How much the consumer takes at a time, so that a transaction lasts about as long as it should: measured on
 * those before, as a row costs several times more in a large database on a slow disk. A list that is
 * shorter than that is taken whole at once: nobody waits for it to grow. No clock, no I/O.
 */
export class TransactionSize {
  #msPerByte = transactionMsUsual / bytesFirst
  #isBehind = false

  /** `share`: of a whole transaction. */
  next(share = 1): Amount {
    const transactionMs = this.#isBehind ? transactionMsBehind : transactionMsUsual
    const bytes = transactionMs / this.#msPerByte
    const whole = Math.min(bytesMax, Math.max(bytesMin, bytes))
    return { batchesMax, bytesMax: Math.round(Math.max(bytesMin, share * whole)) }
  }

  /** Reports whether that much is what was asked for, so that there may be more. */
  isFull({ batchCount, bytes }: { batchCount: number; bytes: number }, asked: Amount): boolean {
    return batchCount >= asked.batchesMax || bytes >= asked.bytesMax / 2
  }

  committed({ bytes, ms, ageMs }: { bytes: number; ms: number; ageMs: number }): void {
    this.#isBehind = ageMs > behindMs
    // A small one says what a commit costs, not what a row does.
    if (bytes < bytesMin / 2 && ms < transactionMsUsual) return
    this.#msPerByte += weight * (ms / Math.max(1, bytes) - this.#msPerByte)
  }
}
