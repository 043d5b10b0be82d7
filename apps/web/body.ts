const bytesMin = 4_096

/** Collects the body of one request. */
export class Body {
  readonly #bytesMax: number
  /**
   * Copies of all chunks but the last, one behind the other, as uWebSockets.js takes each back; null while
   * there is none. It grows by doubling: a body in chunks of one byte must not cost more than its size.
   */
  #collected: Uint8Array | null = null
  #byteCount = 0
  #isDone = false

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /**
   * The whole body with its last chunk, valid only during the call; `too large` once, as soon as that is
   * known; null while more is to come, and for whatever comes after either.
   */
  add(chunk: ArrayBuffer, isLast: boolean): Uint8Array | 'too large' | null {
    if (this.#isDone) return null
    const start = this.#byteCount
    this.#byteCount += chunk.byteLength
    this.#isDone = isLast || this.#byteCount > this.#bytesMax
    if (this.#byteCount > this.#bytesMax) {
      this.#collected = null
      return 'too large'
    }
    if (isLast && this.#collected === null) return new Uint8Array(chunk)
    const collected = this.#withRoom(start)
    collected.set(new Uint8Array(chunk), start)
    return isLast ? collected.subarray(0, this.#byteCount) : null
  }

  /** Lets go of what has come, and takes no more. */
  end(): null {
    this.#isDone = true
    this.#collected = null
    return null
  }

  #withRoom(collectedCount: number): Uint8Array {
    if (this.#collected !== null && this.#collected.length >= this.#byteCount) return this.#collected
    const size = Math.min(this.#bytesMax, Math.max(bytesMin, 2 * this.#byteCount))
    const larger = new Uint8Array(size)
    if (this.#collected !== null) larger.set(this.#collected.subarray(0, collectedCount))
    this.#collected = larger
    return larger
  }
}

/**
 * The same bytes with the methods of Buffer. Bodies are plain Uint8Arrays: they are cheaper to make, and
 * code that only ever sees one kind of array is faster.
 */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
