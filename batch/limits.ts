import { assert } from '../lib/assert.ts'

const mebibyte = 1024 * 1024

/** A key in UTF-8. */
export const keyBytesMax = 512
/**
 * Digits of a sequence, a time, or a count of increments: so many make a number that is exact in JavaScript,
 * in Lua and in SQLite, and so is a sum of a few of them. At a million increments a second it lasts for 31
 * years.
 */
export const countDigitsMax = 15
export const countMax = 10 ** countDigitsMax - 1
assert(8 * countMax < Number.MAX_SAFE_INTEGER)
/** The largest value of one increment, either sign: every JavaScript number up to it is exact. */
export const valueMax = Number.MAX_SAFE_INTEGER

/** Keys in one batch: bounds how long one transaction holds up the consumer. */
export const batchKeysMax = 10_000
/** Keys that are encoded at once: bounds how long sealing holds up requests. */
export const sliceKeysMax = 500
/**
 * One key and its sum as JSON: every byte of the key escaped (`\"`), its quotes and comma, and a sum of 30
 * digits with its sign, quotes and comma, which no interval comes up to.
 */
export const entryBytesMax = 2 * keyBytesMax + 3 + 34
/** Producer, sequence, and the batch's own fields, its brackets and all that is neither key nor sum. */
export const batchHeaderBytesMax = 512
/** An Idempotency-Key, in ASCII. */
export const idempotencyKeyBytesMax = 255
/** Bytes, in ASCII, of the hash that distinguishes two requests with the same idempotency key. */
export const fingerprintBytesMax = 64
/**
 * Bytes that an idempotency key adds to the entries of its request in JSON: itself, escaped, and other
 * fields.
 */
const keyedBytesMax = 2 * idempotencyKeyBytesMax + 160
/** A batch. A larger one would not arrive in time over a slow link; earlier versions may have written one. */
export const batchBytesMax = mebibyte
assert(batchHeaderBytesMax + entryBytesMax + keyedBytesMax <= batchBytesMax)
/** A batch that holds one keyed request, which is never divided, and nothing else. */
export const keyedBatchBytesMax = batchHeaderBytesMax + batchKeysMax * entryBytesMax + keyedBytesMax
/** Redis refuses a longer string (proto-max-bulk-len). */
const redisValueBytesMax = 512 * mebibyte
assert(keyedBatchBytesMax < redisValueBytesMax)
/** An element of the list: earlier versions bounded batches by keys alone, each may be of a keyed request. */
export const elementBytesMax = batchHeaderBytesMax + batchKeysMax * (entryBytesMax + keyedBytesMax)
assert(keyedBatchBytesMax <= elementBytesMax && batchBytesMax <= elementBytesMax)
assert(elementBytesMax < redisValueBytesMax)
/** Brackets and braces around each other in a batch: `{"keyed":[{"keys":[`. */
export const batchNestingMax = 4

/**
 * Batches that one producer has sealed and that are not confirmed: when this window is full, the accumulator
 * keeps merging instead.
 */
export const windowBatchesMax = 32
export const windowBytesMax = 64 * mebibyte
assert(windowBytesMax > 2 * keyedBatchBytesMax)

/** Bytes that are read of an element larger than any batch. */
export const oversizedBytesKept = 1_000
