import { randomBytes } from 'node:crypto'
import { corrupt, decodeKeyed, decodeSums, problemOfCounts, isCount, parseJson } from './fields.ts'
import { batchError } from './errors.ts'
import { elementBytesMax } from './limits.ts'

/** A sum of increments: a number while that is exact, a bigint beyond. */
export type Sum = number | bigint

/**
 * The increments of one request with an Idempotency-Key. It travels unsummed: only the store knows whether it
 * was counted before. `keys[i]` is incremented by `sums[i]`; a key occurs at most once.
 */
export interface KeyedRequest {
  readonly idempotencyKey: string
  /**
   * A hash of what it asks for: the same idempotency key with another fingerprint is another request, and
   * refused.
   */
  readonly fingerprint: string
  /** How many increments its sums are made of. */
  readonly increments: number
  readonly keys: readonly string[]
  readonly sums: readonly Sum[]
}

/**
 * Room that the request takes in a batch, in keys. One that increments nothing takes some, too: its
 * idempotency key has to be kept all the same, so it may be neither forgotten nor without a bound.
 */
export function keysTakenBy({ keys }: KeyedRequest): number {
  return Math.max(1, keys.length)
}

/**
 * A sealed, immutable set of sums from one producer for one shard. `keys[i]` was incremented by `sums[i]`; a
 * key occurs at most once.
 */
export interface Batch {
  readonly producer: string
  /** 1, 2, 3, … per producer, without gaps. */
  readonly sequence: number
  /** When the oldest increment in it was accepted, in milliseconds since the epoch. */
  readonly oldestMs: number
  /** How many increments its sums are made of. */
  readonly increments: number
  /** How many increments its producer has sealed since it started, this batch included. */
  readonly sealed: number
  readonly keys: readonly string[]
  readonly sums: readonly Sum[]
  /** Besides the sums; counted in `increments`. */
  readonly keyed: readonly KeyedRequest[]
}

/** Names one batch; all that the queue needs to know of it. */
export interface BatchId {
  readonly producer: string
  readonly sequence: number
}

/**
 * An element of the list, exactly as it is there: text, or, for an element that is not valid UTF-8 and so no
 * batch of any format we know, its bytes.
 */
export type Element = string | Buffer

/** Returns a text that is the same for the same batch only. */
export function batchName({ producer, sequence }: BatchId): string {
  return `${producer} ${sequence}`
}

/** A fresh id for a producer: never used before, by anybody. */
export function newProducerId(): string {
  return randomBytes(10).toString('hex')
}

/** The format without keyed requests, which every version reads. */
export const plainFormat = 1
export const keyedFormat = 2

/** A batch that came out of the queue. */
export interface ReceivedBatch extends Batch {
  /** The text in the list. Equality of batches ignores it. */
  readonly element: string
}

const headPattern = /^([0-9a-f]{8,64}) ([1-9][0-9]{0,14}) (?=\{)/
/** Matches a batch of any format, later ones included. */
const formatPattern = /^[0-9a-f]{8,64} [1-9][0-9]{0,14} \{"v":([1-9][0-9]{0,2})[,}]/
/** Longer than either. */
export const headUnitsMax = 256

/**
 * Throws OperationError: `batch_newer` on a batch of a later format, `batch_corrupt` on whatever else
 * encodeBatch does not write. What is said of it has nothing in it that the element holds.
 */
export function decodeBatch(element: string): ReceivedBatch {
  refuseNewer(element)
  if (element.length > elementBytesMax) throw corrupt('is larger than any batch')
  const match = headPattern.exec(element.slice(0, headUnitsMax))
  if (match === null) throw corrupt('does not start with a producer and a sequence')
  const [head, producer, sequence] = match as unknown as [string, string, string]
  const body = parseJson(element.slice(head.length))
  if (body.v !== plainFormat && body.v !== keyedFormat) throw corrupt('is of no known format')
  const { oldestMs, increments, sealed } = body
  if (!isCount(oldestMs) || !isCount(increments) || !isCount(sealed)) throw corrupt('has a bad header')
  const keyed = body.v === keyedFormat ? decodeKeyed(body.keyed) : []
  const { keys, sums } = decodeSums(body)
  const problem = problemOfCounts({ increments, sealed, keyCount: keys.length, keyed })
  if (problem !== null) throw corrupt(problem)
  const batch: Batch = {
    producer,
    sequence: Number(sequence),
    oldestMs,
    increments,
    sealed,
    keys,
    sums,
    keyed,
  }
  return Object.defineProperty(batch, 'element', { value: element }) as ReceivedBatch
}

/**
 * Throws `batch_newer` where a batch of a later format begins; what follows may be of any form, text or not.
 */
export function refuseNewer(element: string): void {
  const format = Number(formatPattern.exec(element.slice(0, headUnitsMax))?.[1] ?? 0)
  if (format > keyedFormat)
    throw batchError(
      'batch_newer',
      `a batch is of format ${format}, known are ${plainFormat} and ${keyedFormat}`,
    )
}

/** Producer and sequence of an element; null when it does not start with them. */
export function batchIdOf(element: string): BatchId | null {
  const match = headPattern.exec(element.slice(0, headUnitsMax))
  return match === null ? null : { producer: match[1]!, sequence: Number(match[2]) }
}

/** A batch that waits in the queue, as far as its head tells. */
export interface QueuedBatch extends BatchId {
  readonly increments: number
}

const queuedPattern = /^([0-9a-f]{8,64}) ([1-9][0-9]{0,14}) \{[^[]*?"increments":([0-9]{1,15})[,}]/

/** Reads the head alone, of batches of a later format too; null for what is no batch. */
export function queuedBatchOf(element: string): QueuedBatch | null {
  const match = queuedPattern.exec(element.slice(0, headUnitsMax))
  if (match === null) return null
  const [, producer, sequence, increments] = match as unknown as [string, string, string, string]
  return { producer, sequence: Number(sequence), increments: Number(increments) }
}

export function addSums(left: Sum, right: Sum): Sum {
  if (typeof left === 'number' && typeof right === 'number') {
    const sum = left + right
    if (Number.isSafeInteger(sum)) return sum
  }
  return BigInt(left) + BigInt(right)
}
