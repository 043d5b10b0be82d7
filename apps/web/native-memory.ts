import type { Clock, Timer } from '../../lib/clock.ts'
import { nextDescriptor } from '../../lib/process/descriptors.ts'
import type { Log } from '../../lib/process/log.ts'
import type { Connections } from './connections.ts'
import type { UnreadAnswers } from './write-buffers.ts'

const mebibyte = 1024 * 1024
/** Native memory for what cannot be counted: messages of streams that have not come to their end. */
export const nativeBytesMax = 128 * mebibyte
/** The most that a connection takes while nothing big is under way on it; 3.8 to 4.6 KiB were measured. */
export const connectionBytesMax = 8 * 1024
const lookIntervalMs = 100
/** Time without new streams after some were closed: their memory must not be taken again at once. */
const refuseMs = 1_000
/** Time after which memory that closing streams does not free counts as base: the allocator keeps it. */
const grantedAfterMs = 60_000

export interface NativeMemoryOptions {
  readonly clock: Clock
  readonly log: Log
  readonly connections: Connections
  readonly unread: UnreadAnswers
  /** The memory of the process; a test has its own. */
  readonly usage?: () => Pick<NodeJS.MemoryUsage, 'rss' | 'heapTotal' | 'external'>
}

/**
 * Watches the memory that is neither V8's nor a buffer of ours. uWebSockets.js keeps there what has come of a
 * message, and shows nothing of it before its end: not how much it is, nor on which streams. So this measures
 * what all of them take together, and has streams closed while it is too much.
 */
export class NativeMemory {
  readonly #options: NativeMemoryOptions
  readonly #usage: NonNullable<NativeMemoryOptions['usage']>
  #timer: Timer | null = null
  /** Memory of the process at rest. */
  #baseBytes = 0
  #connectionsPeak = 0
  /** Memory beyond that, its connections and unread answers, as of the last look. */
  #bytes = 0
  #wasFineMs = 0
  #refuseUntilMs = Number.NEGATIVE_INFINITY

  constructor(options: NativeMemoryOptions) {
    this.#options = options
    this.#usage = options.usage ?? (() => process.memoryUsage())
  }

  get bytes(): number {
    return Math.max(0, this.#bytes)
  }

  get isShort(): boolean {
    return this.#bytes > nativeBytesMax
  }

  /** Reports whether a stream may be opened. */
  get hasRoom(): boolean {
    return !this.isShort && this.#options.clock.monotonicMs() >= this.#refuseUntilMs
  }

  /** `shed` closes some streams; returns false when there is none. */
  start(shed: () => boolean): void {
    this.#wasFineMs = this.#options.clock.monotonicMs()
    this.#baseBytes = this.#measure()
    this.#lookLater(shed)
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #lookLater(shed: () => boolean): void {
    this.#timer = this.#options.clock.after(lookIntervalMs, () => {
      this.look(shed)
      this.#lookLater(shed)
    })
  }

  /** Measures the memory, on the timer. A look takes a descriptor: without one, the next time will do. */
  look(shed: () => boolean): void {
    const { clock, log, connections } = this.#options
    if (nextDescriptor() === null) return
    const nowMs = clock.monotonicMs()
    this.#connectionsPeak = Math.max(this.#connectionsPeak, connections.count)
    this.#bytes = this.#measure() - this.#baseBytes
    const bytesBefore = this.#bytes
    let isShed = false
    while (this.isShort && shed()) {
      isShed = true
      this.#refuseUntilMs = nowMs + refuseMs
      this.#bytes = this.#measure() - this.#baseBytes
    }
    if (isShed)
      log.warn(
        { bytesBefore, bytes: this.#bytes },
        'streams were closed: their unfinished messages take too much',
      )
    if (!this.isShort) this.#wasFineMs = nowMs
    else if (nowMs - this.#wasFineMs > grantedAfterMs) this.#baseBytes += this.#bytes
  }

  #measure(): number {
    const { rss, heapTotal, external } = this.#usage()
    // A text that grows takes up to twice its length.
    const unreadBytes = 2 * this.#options.unread.bytes
    return rss - heapTotal - external - unreadBytes - this.#connectionsPeak * connectionBytesMax
  }
}
