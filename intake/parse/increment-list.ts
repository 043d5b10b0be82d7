import { hashOf } from '../../batch/key-hash.ts'

const capacityMin = 64
/** Room for more increments than that is not kept for the next request. */
const capacityKeptMax = 65_536

/**
 * The increments of one request, in columns: reading a body makes no object for each. One list serves all
 * requests of a process, one after the other; it is valid until the next `reset`, and no longer than the
 * bytes of the body are.
 */
export class IncrementList {
  length = 0
  /** The body with the keys; read only. */
  bytes: Uint8Array = new Uint8Array(0)
  /** Per increment: where its key starts and ends in `bytes`, the hash of these bytes, and its value. */
  keyStarts = new Int32Array(capacityMin)
  keyEnds = new Int32Array(capacityMin)
  keyHashes = new Int32Array(capacityMin)
  /** Safe integers, never -0. */
  values = new Float64Array(capacityMin)
  /** `bytes` is a copy of the body. */
  #isCopy = false

  reset(body: Uint8Array): void {
    this.length = 0
    this.bytes = body
    this.#isCopy = false
    if (this.values.length > capacityKeptMax) this.#resize(capacityMin)
  }

  /** Adds the key in `bytes` from `keyStart` to `keyEnd`, which is checked and has that hash. */
  add(keyStart: number, keyEnd: number, keyHash: number, value: number): void {
    const index = this.length++
    if (index === this.values.length) this.#resize(2 * index)
    this.keyStarts[index] = keyStart
    this.keyEnds[index] = keyEnd
    this.keyHashes[index] = keyHash
    this.values[index] = value
  }

  /** The same for a key whose hash is not known yet. */
  addUnhashed(keyStart: number, keyEnd: number, value: number): void {
    this.add(keyStart, keyEnd, hashOf(this.bytes, keyStart, keyEnd), value)
  }

  /** Returns a copy of the bytes, in which decoded ones may replace encoded ones: the body stays as it is. */
  ownBytes(): Uint8Array {
    if (!this.#isCopy) this.bytes = new Uint8Array(this.bytes)
    this.#isCopy = true
    return this.bytes
  }

  keyAt(index: number): string {
    return asBuffer(this.bytes).toString('utf8', this.keyStarts[index]!, this.keyEnds[index]!)
  }

  #resize(capacity: number): void {
    this.keyStarts = resized(this.keyStarts, capacity)
    this.keyEnds = resized(this.keyEnds, capacity)
    this.keyHashes = resized(this.keyHashes, capacity)
    const values = new Float64Array(capacity)
    values.set(this.values.subarray(0, capacity))
    this.values = values
  }
}

function resized(array: Int32Array<ArrayBuffer>, capacity: number): Int32Array<ArrayBuffer> {
  const other = new Int32Array(capacity)
  other.set(array.subarray(0, capacity))
  return other
}

/**
 * The same bytes with the methods of Buffer. Bodies are plain Uint8Arrays: they are cheaper to make, and
 * code that only ever sees one kind of array is faster.
 */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
