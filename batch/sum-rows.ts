import type { Sum } from './batch.ts'

/** A key takes at most three bytes of UTF-8 for each of its UTF-16 units. */
const bytesPerUnitMax = 3
const firstCapacity = 1_024

/** Where row `row` has its fields. */
export const sumOf = (row: number) => 2 * row
export const startOf = (row: number) => 4 * row + 2
export const endOf = (row: number) => 4 * row + 3
const rowBytes = 16

/**
 * Keys and sums of many batches, in rows of 16 bytes: a sum, and where in `bytes` its key starts and ends, in
 * UTF-8. A key may stand more than once. A million rows are a handful of objects, where a string each would
 * be a million, and they compare as bytes, as SQLite compares them.
 */
export class SumTable {
  /** The keys that the rows point into; written by the code that adds the rows. */
  readonly bytes: Buffer
  /** The sum at `sumOf(row)`; NaN where the sum is in `large`. */
  sums = new Float64Array(2 * firstCapacity)
  /** The same memory, for `startOf(row)` and `endOf(row)`. */
  places = new Uint32Array(this.sums.buffer)
  /** Sums beyond ±(2^53-1), by row. */
  readonly large = new Map<number, bigint>()
  count = 0
  /** Where the next keys go in `bytes`. */
  end = 0

  constructor(byteCount: number) {
    this.bytes = Buffer.allocUnsafeSlow(byteCount)
  }

  /** Returns the rows of these batches, however they were read. */
  static of(parts: readonly { readonly keys: readonly string[]; readonly sums: readonly Sum[] }[]) {
    let units = 0
    for (const { keys } of parts) for (const key of keys) units += key.length
    const table = new SumTable(units * bytesPerUnitMax)
    for (const { keys, sums } of parts) table.addAll(keys, sums)
    return table
  }

  add(start: number, end: number, sum: number): void {
    const row = this.count
    if (row * rowBytes === this.sums.byteLength) this.#grow()
    this.count = row + 1
    this.sums[sumOf(row)] = sum
    this.places[startOf(row)] = start
    this.places[endOf(row)] = end
  }

  /** Writes the keys to `bytes`, too. */
  addAll(keys: readonly string[], sums: readonly Sum[]): void {
    for (let index = 0; index < keys.length; index++) {
      const start = this.end
      this.end += this.bytes.write(keys[index]!, start)
      const sum = sums[index]!
      if (typeof sum === 'bigint') this.large.set(this.count, sum)
      this.add(start, this.end, typeof sum === 'bigint' ? Number.NaN : sum)
    }
  }

  keyStart(row: number): number {
    return this.places[startOf(row)]!
  }

  keyEnd(row: number): number {
    return this.places[endOf(row)]!
  }

  /** Compares from the end: neighbours in an order, and keys of one family, differ there. */
  isSameKey(left: number, right: number): boolean {
    const { bytes, places } = this
    const leftStart = places[startOf(left)]!
    let leftAt = places[endOf(left)]!
    let rightAt = places[endOf(right)]!
    if (leftAt - leftStart !== rightAt - places[startOf(right)]!) return false
    while (leftAt > leftStart) if (bytes[--leftAt] !== bytes[--rightAt]) return false
    return true
  }

  /** Adds the sum of `row` to that of `other`; false, and nothing is done, when that is not exact. */
  tryAddTo(other: number, row: number): boolean {
    const sum = this.sums[sumOf(other)]! + this.sums[sumOf(row)]!
    if (!Number.isSafeInteger(sum)) return false
    this.sums[sumOf(other)] = sum
    return true
  }

  /** Makes what is in `row`, whose sum is not in `large`, the last row; that may be where it is. */
  moveToEnd(row: number): void {
    const last = this.count++
    this.sums[sumOf(last)] = this.sums[sumOf(row)]!
    this.places[startOf(last)] = this.places[startOf(row)]!
    this.places[endOf(last)] = this.places[endOf(row)]!
  }

  #grow(): void {
    const sums = new Float64Array(2 * this.sums.length)
    sums.set(this.sums)
    this.sums = sums
    this.places = new Uint32Array(sums.buffer)
  }
}
