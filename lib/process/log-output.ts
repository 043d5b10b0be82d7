import { constants, fstatSync, openSync, writeSync } from 'node:fs'

/**
 * Standard output, for lines of the log. A line that cannot be written now is dropped and counted, and the
 * next one is tried again: a full disk, a terminal that is gone and a pipe that nobody reads neither end the
 * process nor hold it up.
 */
export class LogOutput {
  #linesDropped = 0
  /** The end of a line whose beginning is written; nothing else may come between. */
  #rest: Buffer = Buffer.alloc(0)
  /** Null before the first line. */
  #descriptor: number | null = null

  /** Lines that were not written, or not whole yet when the next one came. */
  get linesDropped(): number {
    return this.#linesDropped
  }

  /** Never throws, and never waits for a reader. A line ends with a line feed. */
  write(line: string): void {
    this.#rest = this.#afterWriting(this.#rest)
    const bytes = Buffer.from(line)
    const left = this.#rest.length > 0 ? bytes : this.#afterWriting(bytes)
    if (left.length === bytes.length) this.#linesDropped++
    else this.#rest = left
  }

  /** Writes as much as fits; returns what is left. */
  #afterWriting(bytes: Buffer): Buffer {
    if (bytes.length === 0) return bytes
    this.#descriptor ??= ownPipe() ?? standardOutput
    try {
      if (this.#descriptor === standardOutput) stopWaiting()
      return bytes.subarray(writeSync(this.#descriptor, bytes))
    } catch {
      // EAGAIN, EPIPE, EIO, ENOSPC, EFBIG and whatever else: where would it be told?
      return bytes
    }
  }
}

const standardOutput = 1

/**
 * The pipe that standard output is, opened once more, so that whether writing waits is nobody's setting but
 * ours. Null for anything else, and where the system does not let us.
 */
function ownPipe(): number | null {
  try {
    if (!fstatSync(standardOutput).isFIFO()) return null
    return openSync(`/proc/self/fd/${standardOutput}`, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch {
    return null
  }
}

/**
 * Makes writing to standard output fail rather than wait, if it is a socket, a terminal or a pipe. Each time
 * anew: the setting is shared with every process that has inherited it, and Node resets it when one of them
 * starts or ends.
 */
function stopWaiting(): void {
  const { _handle: handle } = process.stdout as { _handle?: { setBlocking?(isBlocking: boolean): void } }
  handle?.setBlocking?.(false)
}
