import { assert } from '../../../lib/assert.ts'

const bytesMin = 4_096
/** Memory for a body of known length is taken as a whole once an eighth of it is here. */
const trustedTimes = 8
const mebibyte = 1024 * 1024

/**
 * The memory that the incomplete bodies of all requests may take together. A body that comes in one piece
 * takes nothing of it.
 */
export class BodyMemory {
  readonly bytesMax: number
  #bytes = 0

  constructor(bodyBytesMax: number) {
    this.bytesMax = bodiesBytesMax(bodyBytesMax)
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Returns whether there is so much more. */
  tryTake(bytes: number): boolean {
    if (this.#bytes + bytes > this.bytesMax) return false
    this.#bytes += bytes
    return true
  }

  /** Takes so much even beyond the bound: for the copy of a body that is let go of right after. */
  take(bytes: number): void {
    this.#bytes += bytes
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes
    assert(this.#bytes >= 0, 'more memory of bodies was given back than taken')
  }
}

/** Two of the largest bodies at the least. */
export function bodiesBytesMax(bodyBytesMax: number): number {
  return Math.max(64 * mebibyte, 2 * bodyBytesMax)
}

/** Collects the body of one request. */
export class Body {
  readonly #bytesMax: number
  readonly #memory: BodyMemory
  readonly #expected: number
  /**
   * Copies of all chunks but the last, one behind the other, as uWebSockets.js takes each back; null while
   * there is none. It grows by doubling: a body in chunks of one byte must not cost more than its size.
   */
  #collected: Uint8Array<ArrayBuffer> | null = null
  #byteCount = 0
  #isDone = false

  /** `expected` is its length in bytes, as far as its client has said it; infinite if not. */
  constructor(bytesMax: number, memory: BodyMemory, expected: number) {
    this.#bytesMax = bytesMax
    this.#expected = expected
    this.#memory = memory
  }

  /**
   * The whole body with its last chunk, valid until `end`; `too large` or `no room` once, as soon as that is
   * known; null while more is to come, and for whatever comes after these.
   */
  add(chunk: ArrayBuffer, isLast: boolean): Uint8Array | 'too large' | 'no room' | null {
    if (this.#isDone) return null
    const start = this.#byteCount
    this.#byteCount += chunk.byteLength
    this.#isDone = isLast
    if (this.#byteCount > this.#bytesMax) {
      this.end()
      return 'too large'
    }
    if (isLast && this.#collected === null) return new Uint8Array(chunk)
    const collected = this.#withRoom()
    if (collected === null) {
      this.end()
      return 'no room'
    }
    collected.set(new Uint8Array(chunk), start)
    return isLast ? collected.subarray(0, this.#byteCount) : null
  }

  /** Lets go of what has come, and takes no more. Every body has to be ended. */
  end(): null {
    this.#isDone = true
    if (this.#collected !== null) {
      this.#memory.giveBack(this.#collected.length)
      // Frees the memory now: V8 sees no hurry where nothing else happens.
      this.#collected.buffer.transfer(0)
    }
    this.#collected = null
    return null
  }

  /** Returns room for the next bytes; null when there is no memory left for it. */
  #withRoom(): Uint8Array | null {
    const collected = this.#collected
    const had = collected?.length ?? 0
    if (collected !== null && had >= this.#byteCount) return collected
    const isTrusted = this.#byteCount <= this.#expected && this.#byteCount * trustedTimes >= this.#expected
    const size = isTrusted
      ? this.#expected
      : Math.min(this.#bytesMax, Math.max(bytesMin, 2 * this.#byteCount))
    if (!this.#memory.tryTake(size - had)) return null
    const grown = Buffer.allocUnsafeSlow(size)
    if (collected !== null) {
      grown.set(collected)
      collected.buffer.transfer(0)
    }
    this.#collected = grown
    return grown
  }
}
