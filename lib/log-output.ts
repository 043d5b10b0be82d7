import { writeSync } from 'node:fs'

/**
 * Standard output, for lines of the log. A line that cannot be written now is dropped and counted, and the
 * next one is tried again: a full disk, a terminal that is gone and a pipe that nobody reads neither end the
 * process nor hold it up.
 */
export class LogOutput {
  #linesDropped = 0
  /** The end of a line whose beginning is written; nothing else may come between. */
  #rest: Buffer = Buffer.alloc(0)

  /** Lines that were not written, or not whole yet when the next one came. */
  get linesDropped(): number {
    return this.#linesDropped
  }

  /** Never throws, and never waits for a reader. A line ends with a line feed. */
  write(line: string): void {
    this.#rest = afterWriting(this.#rest)
    const bytes = Buffer.from(line)
    const left = this.#rest.length > 0 ? bytes : afterWriting(bytes)
    if (left.length === bytes.length) this.#linesDropped++
    else this.#rest = left
  }
}

/** Writes as much as fits; returns what is left. */
function afterWriting(bytes: Buffer): Buffer {
  if (bytes.length === 0) return bytes
  try {
    stopWaiting()
    return bytes.subarray(writeSync(1, bytes))
  } catch {
    // EAGAIN, EPIPE, EIO, ENOSPC, EFBIG and whatever else: where would it be told?
    return bytes
  }
}

/**
 * Makes writing to a full pipe, socket or terminal fail rather than wait. Each time anew: the setting is
 * shared with every process that has inherited the same pipe, and each of them resets it when it starts or
 * ends.
 */
function stopWaiting(): void {
  const { _handle: handle } = process.stdout as { _handle?: { setBlocking?(isBlocking: boolean): void } }
  handle?.setBlocking?.(false)
}
