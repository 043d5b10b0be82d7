/**
 * Room for what requests leave behind: with V8's first size of 1 MiB a busy web process collects garbage over
 * a hundred times a second. See docs/decisions/process.md.
 */
export const webNodeOptions = ['--min-semi-space-size=16']

/**
 * Sets the size from which on glibc returns memory when it is freed, whatever was freed before: by itself it
 * keeps more and more. A message that a client never finished, in uWebSockets.js, is such memory.
 */
export const memoryEnvironment = { MALLOC_MMAP_THRESHOLD_: String(128 * 1024) }
