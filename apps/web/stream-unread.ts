import type { Clock } from '../../lib/clock.ts'

/** Answers that one client may leave unread, beyond what the operating systems on the way hold. */
const streamBytesMax = 1024 * 1024
/** What all clients together may leave unread. */
const bytesMax = 64 * streamBytesMax

/** The answers that wait in the memory of this process because clients do not read them. */
export class UnreadAnswers {
  readonly #clock: Clock
  /** How long the last answers of a stream that was closed may stay for its client to read. */
  readonly #lingerMs: number
  #bytes = 0

  constructor(clock: Clock, lingerMs: number) {
    this.#clock = clock
    this.#lingerMs = lingerMs
  }

  get bytes(): number {
    return this.#bytes
  }

  /** What one stream holds has changed. */
  changed(bytesBefore: number, bytesNow: number): void {
    this.#bytes += bytesNow - bytesBefore
  }

  /** A stream that held so much was closed: how long it goes on holding it cannot be seen. */
  closed(bytes: number): void {
    if (bytes > 0) this.#clock.after(this.#lingerMs, () => this.changed(bytes, 0))
  }

  /** What becomes of a stream that holds so much. */
  verdict(streamBytes: number): 'fine' | 'close' | 'cut' {
    if (this.#bytes > bytesMax) return 'cut'
    return streamBytes > streamBytesMax ? 'close' : 'fine'
  }
}
