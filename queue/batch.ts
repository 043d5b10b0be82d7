import { randomBytes } from 'node:crypto'
import { queueError } from './errors.ts'

/** A sum of increments: a number while that is exact, a bigint beyond. */
export type Sum = number | bigint

/**
 * What one request with an Idempotency-Key asked to count. It travels unsummed: only the store knows whether
 * it was counted before. `keys[i]` is to be incremented by `sums[i]`; a key stands at most once.
 */
export interface KeyedRequest {
  readonly idempotencyKey: string
  /** Of what it asks for: the same key with another fingerprint is another request, and refused. */
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
 * A sealed, immutable set of sums from one producer for one shard.
 * `keys[i]` was incremented by `sums[i]`; a key stands at most once.
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

/** A fresh id for a producer: never used before, by anybody. */
export function newProducerId(): string {
  return randomBytes(10).toString('hex')
}

/** Without keyed requests; what every version reads. */
export const plainFormat = 1
export const keyedFormat = 2

const elementPattern = /^([0-9a-f]{8,64}) ([1-9][0-9]{0,15}) (\{.*\})$/s
const sumPattern = /^-?[0-9]{1,30}$/

/**
 * Throws OperationError: `batch_newer` on a batch of a later format, `batch_corrupt` on whatever else
 * encodeBatch does not write.
 */
export function decodeBatch(element: string): Batch {
  const match = elementPattern.exec(element)
  if (match === null) throw corrupt('does not start with a producer and a sequence')
  const [, producer, sequence, json] = match as unknown as [string, string, string, string]
  let body: Record<string, unknown>
  try {
    body = JSON.parse(json)
  } catch (error) {
    throw corrupt('is not JSON', error)
  }
  if (body.v !== plainFormat && body.v !== keyedFormat) {
    const message = `is of format ${String(body.v)}, known are ${plainFormat} and ${keyedFormat}`
    if (!isCount(body.v) || body.v < plainFormat) throw corrupt(message)
    throw queueError('batch_newer', `a batch ${message}`)
  }
  const { oldestMs, increments, sealed } = body
  if (!isCount(oldestMs) || !isCount(increments) || !isCount(sealed)) throw corrupt('has a bad header')
  const keyed = body.v === keyedFormat ? decodeKeyed(body.keyed) : []
  const { keys, sums } = decodeSums(body)
  if (keys.length === 0 && keyed.length === 0) throw corrupt('has no sums')
  return { producer, sequence: Number(sequence), oldestMs, increments, sealed, keys, sums, keyed }
}

function decodeSums({ keys, sums }: Record<string, unknown>): {
  keys: readonly string[]
  sums: readonly Sum[]
} {
  if (!Array.isArray(keys) || !Array.isArray(sums) || keys.length !== sums.length)
    throw corrupt('has no matching keys and sums')
  if (!keys.every(key => typeof key === 'string' && key !== '')) throw corrupt('has a key that is no text')
  return { keys, sums: sums.map(decodeSum) }
}

function decodeKeyed(keyed: unknown): KeyedRequest[] {
  if (!Array.isArray(keyed) || keyed.length === 0) throw corrupt('has no keyed requests')
  return keyed.map((request: Record<string, unknown>) => {
    const { idempotencyKey, fingerprint, increments } = request ?? {}
    if (typeof idempotencyKey !== 'string' || typeof fingerprint !== 'string' || !isCount(increments))
      throw corrupt('has a bad keyed request')
    return { idempotencyKey, fingerprint, increments, ...decodeSums(request) }
  })
}

/** Producer and sequence of an element; null when it does not start with them. */
export function batchIdOf(element: string): BatchId | null {
  const [producer, sequence] = element.slice(0, 100).split(' ', 2)
  if (!producer || !sequence || !/^[1-9][0-9]{0,15}$/.test(sequence)) return null
  return { producer, sequence: Number(sequence) }
}

/** A batch that waits in the queue, as far as its head tells. */
export interface QueuedBatch extends BatchId {
  readonly increments: number
}

const headPattern = /^([0-9a-f]{8,64}) ([1-9][0-9]{0,15}) \{[^[]*?"increments":([0-9]{1,15})[,}]/
/** Longer than any such head. */
const headUnitsMax = 256

/** Of batches of a later format, too; null for what is no batch. Looks at the head alone. */
export function queuedBatchOf(element: string): QueuedBatch | null {
  const match = headPattern.exec(element.slice(0, headUnitsMax))
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

function decodeSum(sum: unknown): Sum {
  // JSON has a -0, which nobody writes: as a sum it is 0.
  if (Number.isSafeInteger(sum)) return (sum as number) + 0
  if (typeof sum === 'string' && sumPattern.test(sum)) return BigInt(sum)
  throw corrupt('has a sum that is no integer')
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function corrupt(what: string, cause?: unknown): Error {
  return queueError('batch_corrupt', `an element of the queue ${what}`, cause)
}
