import { assert } from '../lib/assert.ts'
import {
  type Batch,
  type BatchId,
  keyedFormat,
  type KeyedRequest,
  keysTakenBy,
  plainFormat,
  type Sum,
} from './batch.ts'
import {
  batchBytesMax,
  batchHeaderBytesMax,
  batchKeysMax,
  entryBytesMax,
  keyedBatchBytesMax,
} from './limits.ts'

/** The fields of a batch that concern all its sums together; see Batch. */
export interface BatchHeader extends BatchId {
  readonly oldestMs: number
  readonly increments: number
  readonly sealed: number
}

const [quote, comma, minus, zero, backslash] = [0x22, 0x2c, 0x2d, 0x30, 0x5c]
/** A quote or a backslash, behind another one. Control characters are in no key. */
const escapedBytesMax = 2
const roomMin = 64 * 1024
/** A writer keeps no more between two batches: nearly every batch fits. */
const roomKeptMax = 1024 * 1024
const betweenKeysAndSums = '],"sums":['
/** The bound below which all arithmetic is that of 32-bit integers. */
const smallEnd = 100_000_000
/** Its digits, a sign and a comma. */
const smallBytesMax = 10

/**
 * Returns the element of the queue's list: `<producer> <sequence> <JSON>`. Producer and sequence are plain
 * text, so that the queue's scripts need not parse JSON. Sums beyond ±(2^53-1) travel as decimal strings.
 */
export function encodeBatch(batch: Batch): string {
  const writer = new BatchWriter()
  for (const [index, key] of batch.keys.entries()) {
    const bytes = Buffer.from(key)
    writer.addSum(bytes, 0, bytes.length, batch.sums[index]!)
  }
  for (const request of batch.keyed) assert(writer.tryAddKeyed(request), 'too many keys in one batch')
  return writer.finish(batch)
}

/**
 * Writes elements, one batch after the other, each in as many slices as the caller likes. It works on bytes
 * that it keeps: a text for each key, and each slice, would be garbage that stops the process for
 * milliseconds to be collected.
 */
export class BatchWriter {
  /** JSON in UTF-8, behind room for the head, to `#keysEnd`; every item with its comma. */
  #keys = Buffer.allocUnsafeSlow(roomMin)
  #keysEnd = batchHeaderBytesMax
  #sums = Buffer.allocUnsafeSlow(roomMin)
  #sumsEnd = 0
  /** All bytes of the keys, or-ed: below 0x80 they are ASCII. */
  #keyBits = 0
  /** JSON of each. */
  #keyed: string[] = []
  /** Commas included. */
  #keyedBytes = 0
  #keyCount = 0

  /** Keys of the sums, and what the keyed requests take. */
  get keyCount(): number {
    return this.#keyCount
  }

  /** Keys of any length, with any sums, that still fit into the batch. */
  get sumRoom(): number {
    const keysRoom = batchKeysMax - this.#keyCount
    return Math.min(keysRoom, Math.floor((batchBytesMax - this.#bytes) / entryBytesMax))
  }

  /** The key in `bytes` from `start` to `end`, UTF-8, is to be incremented by `sum`. */
  addSum(bytes: Uint8Array, start: number, end: number, sum: Sum): void {
    this.#keys = withRoom(this.#keys, this.#keysEnd, escapedBytesMax * (end - start) + 3)
    const keys = this.#keys
    let at = this.#keysEnd
    let bits = 0
    keys[at++] = quote
    for (let index = start; index < end; index++) {
      const byte = bytes[index]!
      bits |= byte
      if (byte === quote || byte === backslash) keys[at++] = backslash
      keys[at++] = byte
    }
    keys[at++] = quote
    keys[at++] = comma
    this.#keysEnd = at
    this.#keyBits |= bits
    this.#keyCount++
    if (typeof sum === 'number' && sum < smallEnd && sum > -smallEnd) this.#addSmall(sum)
    else this.#addLarge(`${JSON.stringify(encodeSum(sum))},`)
  }

  /** Returns false when it does not fit: the batch is as before then. An empty batch takes any request. */
  tryAddKeyed(request: KeyedRequest): boolean {
    assert(request.keys.length === request.sums.length)
    const keyCount = this.#keyCount + keysTakenBy(request)
    if (keyCount > batchKeysMax) return false
    const json = JSON.stringify(encodeKeyed(request))
    const bytes = Buffer.byteLength(json) + 1
    const isEmpty = this.#bytes === batchHeaderBytesMax
    if (!isEmpty && this.#bytes + bytes > batchBytesMax) return false
    this.#keyCount = keyCount
    this.#keyed.push(json)
    this.#keyedBytes += bytes
    return true
  }

  /** The element of the batch; the next call of `addSum` or `tryAddKeyed` begins another one. */
  finish({ producer, sequence, oldestMs, increments, sealed }: BatchHeader): string {
    assert(this.#keyCount > 0 && this.#keyCount <= batchKeysMax, `${this.#keyCount} keys in one batch`)
    const [isPlain, bytes] = [this.#keyed.length === 0, this.#bytes]
    const v = isPlain ? plainFormat : keyedFormat
    const header = JSON.stringify({ v, oldestMs, increments, sealed }).slice(0, -1)
    const head = `${producer} ${sequence} ${header},"keys":[`
    const tail = isPlain ? '' : `,"keyed":[${this.#keyed.join(',')}]`
    const element = `${this.#join(head)}${tail}}`
    assert(element.length <= bytes && bytes <= keyedBatchBytesMax, `${bytes} bytes in one batch`)
    this.#reset()
    return element
  }

  /** The most bytes that the batch takes so far. */
  get #bytes(): number {
    return this.#keysEnd + this.#sumsEnd + this.#keyedBytes
  }

  /** The head, the keys and the sums, closed. */
  #join(head: string): string {
    assert(head.length <= batchHeaderBytesMax)
    const start = batchHeaderBytesMax - head.length
    const keysEnd = withoutComma(this.#keysEnd, batchHeaderBytesMax)
    const sumsEnd = withoutComma(this.#sumsEnd, 0)
    const bytes = withRoom(this.#keys, keysEnd, betweenKeysAndSums.length + sumsEnd + 1)
    bytes.write(head, start, 'latin1')
    let end = keysEnd + bytes.write(betweenKeysAndSums, keysEnd, 'latin1')
    end += this.#sums.copy(bytes, end, 0, sumsEnd)
    end += bytes.write(']', end, 'latin1')
    // Nearly every key is ASCII, and as Latin-1 it need not be decoded.
    return bytes.toString(this.#keyBits < 0x80 ? 'latin1' : 'utf8', start, end)
  }

  #addSmall(sum: number): void {
    this.#sums = withRoom(this.#sums, this.#sumsEnd, smallBytesMax)
    const sums = this.#sums
    let at = this.#sumsEnd
    let rest = sum
    if (sum < 0) {
      sums[at++] = minus
      rest = -sum
    }
    let unit = 1
    while (unit * 10 <= rest) unit *= 10
    for (; unit >= 1; unit = (unit / 10) | 0) {
      const digit = (rest / unit) | 0
      sums[at++] = zero + digit
      rest -= digit * unit
    }
    sums[at++] = comma
    this.#sumsEnd = at
  }

  #addLarge(item: string): void {
    this.#sums = withRoom(this.#sums, this.#sumsEnd, item.length)
    this.#sumsEnd += this.#sums.write(item, this.#sumsEnd, 'latin1')
  }

  #reset(): void {
    if (this.#keys.length > roomKeptMax) this.#keys = Buffer.allocUnsafeSlow(roomMin)
    if (this.#sums.length > roomKeptMax) this.#sums = Buffer.allocUnsafeSlow(roomMin)
    this.#keysEnd = batchHeaderBytesMax
    this.#sumsEnd = 0
    this.#keyBits = 0
    this.#keyed = []
    this.#keyedBytes = 0
    this.#keyCount = 0
  }
}

/** The same bytes up to `end`, with that many free behind. */
function withRoom(bytes: Buffer<ArrayBuffer>, end: number, free: number): Buffer<ArrayBuffer> {
  if (end + free <= bytes.length) return bytes
  const larger = Buffer.allocUnsafeSlow(Math.max(2 * bytes.length, end + free))
  bytes.copy(larger, 0, 0, end)
  return larger
}

/** Returns the end of the items without the comma behind the last one. */
function withoutComma(end: number, start: number): number {
  return end === start ? end : end - 1
}

function encodeKeyed(request: KeyedRequest): KeyedRequest {
  const { idempotencyKey, fingerprint, increments, keys } = request
  return { idempotencyKey, fingerprint, increments, keys, sums: request.sums.map(encodeSum) as Sum[] }
}

function encodeSum(sum: Sum): number | string {
  return typeof sum === 'bigint' ? sum.toString() : sum
}
