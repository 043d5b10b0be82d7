import { assert } from '../lib/assert.ts'

const mebibyte = 1024 * 1024

/** A key in UTF-8. */
export const keyBytesMax = 512
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
/** What an idempotency key adds to the entries of its request as JSON: itself, escaped, and other fields. */
export const keyedBytesMax = 2 * idempotencyKeyBytesMax + 160
/**
 * A batch: over a slow link a larger one would not arrive in time. Elements of earlier versions may be larger.
 */
export const batchBytesMax = mebibyte
assert(batchHeaderBytesMax + entryBytesMax + keyedBytesMax <= batchBytesMax)
/** A batch that holds one keyed request, which is never divided, and nothing else. */
export const keyedBatchBytesMax = batchHeaderBytesMax + batchKeysMax * entryBytesMax + keyedBytesMax
/** Redis refuses a longer string (proto-max-bulk-len). */
const redisValueBytesMax = 512 * mebibyte
assert(keyedBatchBytesMax < redisValueBytesMax)

/**
 * Sealed and not yet confirmed, per producer: when the window is full, the accumulator keeps merging
 * instead.
 */
export const windowBatchesMax = 32
export const windowBytesMax = 64 * mebibyte
assert(windowBytesMax > 2 * keyedBatchBytesMax)

/**
 * Batches in the list, whoever sent them: when it is that long, producers keep theirs. Their windows alone do
 * not bound it, as those of processes that died stay in it.
 */
export const listBatchesMax = 10_000

/** What the consumer reads at a time; at least one batch, whatever its size. */
export const readBatchesMax = 64
export const readBytesMax = 32 * mebibyte
/** What it comes down to over a slow link. */
export const readBytesMin = mebibyte / 16
