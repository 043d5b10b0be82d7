import { assert } from '../lib/assert.ts'
import { elementBytesMax, oversizedBytesKept, windowBatchesMax, windowBytesMax } from '../batch/limits.ts'

/**
 * Batches that wait in the store for one before them. A producer has at most a window of them; beyond these
 * bounds somebody makes them up, or it is a producer that will send them again.
 */
export const parkedPerProducerMax = 2 * windowBatchesMax
export const parkedMax = 10_000
export const parkedBytesMax = 1024 * 1024 * 1024
assert(parkedBytesMax > windowBytesMax + elementBytesMax)

/** Elements that are no batches, kept for the operator: the newest ones, and of each one its beginning. */
export const rejectedMax = 2_000
export const rejectedBytesKept = 2_048
assert(rejectedBytesKept > oversizedBytesKept)
