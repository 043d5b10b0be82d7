import type { Clock, Timer } from '../../lib/clock.ts'

/** Answers that one client may leave unread, beyond what the operating systems on the way hold. */
const streamBytesMax = 1024 * 1024
/** Pongs that may come on top while it is being closed. */
const leavingBytesMax = 2 * streamBytesMax
/** Answers that all clients together may leave unread. */
export const unreadBytesMax = 64 * streamBytesMax

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

  /** Notes how much more, or less, a stream holds. */
  changed(bytesBefore: number, bytesNow: number): void {
    this.#bytes += bytesNow - bytesBefore
  }

  /** A stream that held so much was closed: how long it goes on holding it cannot be seen. */
  closed(bytes: number): void {
    if (bytes > 0) this.#clock.after(this.#lingerMs, () => this.changed(bytes, 0))
  }

  /** Does `cut` when a client has had enough time to read its last answers. */
  later(cut: () => void): Timer {
    return this.#clock.after(this.#lingerMs, cut)
  }

  /** Returns what has to happen to a stream that holds so much. */
  verdict(streamBytes: number): 'fine' | 'close' | 'cut' {
    if (this.#bytes > unreadBytesMax || streamBytes > leavingBytesMax) return 'cut'
    return streamBytes > streamBytesMax ? 'close' : 'fine'
  }
}

/** The same of one stream. */
export class UnreadOfStream {
  readonly #all: UnreadAnswers
  readonly #socket: { getBufferedAmount(): number }
  #bytes = 0

  constructor(all: UnreadAnswers, socket: { getBufferedAmount(): number }) {
    this.#all = all
    this.#socket = socket
  }

  /** The client is slow to read: answers, or pongs, pile up in this process; as of the last look. */
  get isThere(): boolean {
    return this.#bytes > 0
  }

  look(): void {
    const bytes = this.#socket.getBufferedAmount()
    this.#all.changed(this.#bytes, bytes)
    this.#bytes = bytes
  }

  verdict(): ReturnType<UnreadAnswers['verdict']> {
    return this.#all.verdict(this.#bytes)
  }

  /** The stream is closed; `isCut`: in a way that keeps nothing for its client. */
  closed(isCut: boolean): void {
    if (isCut) this.#all.changed(this.#bytes, 0)
    else this.#all.closed(this.#bytes)
  }
}
