/** Collects the body of one request. */
export class Body {
  readonly #bytesMax: number
  /** Copies of all chunks but the last, as uWebSockets.js takes each back; null while there is none. */
  #chunks: Buffer[] | null = null
  #byteCount = 0
  #isDone = false

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /**
   * The whole body with its last chunk, valid only during the call; `too large` once, as soon as that is
   * known; null while more is to come, and for whatever comes after either.
   */
  add(chunk: ArrayBuffer, isLast: boolean): Buffer | 'too large' | null {
    if (this.#isDone) return null
    this.#byteCount += chunk.byteLength
    this.#isDone = isLast || this.#byteCount > this.#bytesMax
    if (this.#byteCount > this.#bytesMax) {
      this.#chunks = null
      return 'too large'
    }
    if (!isLast) {
      this.#chunks ??= []
      this.#chunks.push(Buffer.from(chunk.slice(0)))
      return null
    }
    const last = Buffer.from(chunk)
    return this.#chunks === null ? last : Buffer.concat([...this.#chunks, last])
  }
}
