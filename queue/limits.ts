const mebibyte = 1024 * 1024

/**
 * Batches in the list, whoever sent them: when it is that long, producers keep theirs. Their windows alone do
 * not bound it, as those of processes that died stay in it.
 */
export const listBatchesMax = 10_000

/** The most that the consumer reads at a time; it reads at least one batch, whatever its size. */
export const readBatchesMax = 64
export const readBytesMax = 32 * mebibyte
/** The least that `readBytesMax` shrinks to over a slow link. */
export const readBytesMin = mebibyte / 16
/** A consumer that has not announced its window of idempotency keys for so long is gone, or an old one. */
export const windowAnnouncedMs = 60_000
