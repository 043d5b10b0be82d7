import { addSums, type Sum } from '../../batch/batch.ts'
import { endOf, startOf, sumOf, type SumTable } from '../../batch/sum-rows.ts'
import { rowsInByteOrder } from './byte-order.ts'

/**
 * The sum of each key, in the order in which the table keeps the keys: key `i` ends before unit `ends[i]`
 * of `text` and begins where the one before ends.
 */
export interface MergedSums {
  readonly text: string
  readonly ends: Uint32Array
  /** NaN where the sum is in `large`. */
  readonly sums: Float64Array
  /** Sums beyond ±(2^53-1), by index. */
  readonly large: ReadonlyMap<number, bigint>
}

/** Adds up the sums of equal keys, exactly. */
export function mergeSums(table: SumTable): MergedSums {
  const rows = rowsInByteOrder(table)
  const sums = new Float64Array(rows.length)
  const ends = new Uint32Array(rows.length)
  const large = new Map<number, bigint>()
  const text = Buffer.allocUnsafeSlow(bytesOf(table))
  let count = 0
  let at = 0
  let start = 0
  while (start < rows.length) {
    const end = endOfRun(table, rows, start)
    let sum = sumOfRun(table, rows, start, end)
    if (Number.isNaN(sum)) sum = addExactly(table, rows.subarray(start, end), large, count)
    sums[count] = sum
    at = copyKey(table, rows[start]!, text, at)
    ends[count++] = at
    start = end
  }
  return unitsOf({
    text: text.subarray(0, at),
    ends: ends.subarray(0, count),
    sums: sums.subarray(0, count),
    large,
  })
}

export function keyAt({ text, ends }: MergedSums, index: number): string {
  return text.slice(index === 0 ? 0 : ends[index - 1]!, ends[index]!)
}

export function sumAt({ sums, large }: MergedSums, index: number): Sum {
  const sum = sums[index]!
  return Number.isNaN(sum) ? large.get(index)! : sum
}

function bytesOf({ places, count }: SumTable): number {
  let bytes = 0
  for (let row = 0; row < count; row++) bytes += places[endOf(row)]! - places[startOf(row)]!
  return bytes
}

/** Returns the end of the rows that have the key of the one at `start`. */
function endOfRun(table: SumTable, rows: Uint32Array, start: number): number {
  const first = rows[start]!
  let end = start + 1
  while (end < rows.length && table.isSameKey(first, rows[end]!)) end++
  return end
}

/** NaN when it is, or passes through, more than a number can hold. */
function sumOfRun({ sums }: SumTable, rows: Uint32Array, start: number, end: number): number {
  let sum = sums[sumOf(rows[start]!)]!
  for (let index = start + 1; index < end; index++) {
    sum += sums[sumOf(rows[index]!)]!
    if (sum > Number.MAX_SAFE_INTEGER || sum < Number.MIN_SAFE_INTEGER) return Number.NaN
  }
  return sum
}

/** Returns where the key ends in `text`. */
function copyKey({ bytes, places }: SumTable, row: number, text: Uint8Array, start: number): number {
  const end = places[endOf(row)]!
  let at = start
  for (let from = places[startOf(row)]!; from < end; from++) text[at++] = bytes[from]!
  return at
}

/** A sum that numbers cannot hold goes to `large` as `index`, and NaN stands for it. */
function addExactly(table: SumTable, rows: Uint32Array, large: Map<number, bigint>, index: number): number {
  let sum: Sum = 0
  for (const row of rows) sum = addSums(sum, exactSumOf(table, row))
  if (typeof sum === 'number') return sum
  large.set(index, sum)
  return Number.NaN
}

function exactSumOf({ sums, large }: SumTable, row: number): Sum {
  const sum = sums[sumOf(row)]!
  return Number.isNaN(sum) ? large.get(row)! : sum
}

/** Decodes all keys at once. Where each is ASCII, which is usual, its bytes are its units. */
function unitsOf(merged: Omit<MergedSums, 'text'> & { readonly text: Buffer }): MergedSums {
  const text = merged.text.toString()
  if (text.length === merged.text.length) return { ...merged, text }
  const ends = new Uint32Array(merged.ends.length)
  let [at, units] = [0, 0]
  for (let index = 0; index < ends.length; index++) {
    for (; at < merged.ends[index]!; at++) units += unitsOfByte(merged.text[at]!)
    ends[index] = units
  }
  return { ...merged, ends, text }
}

/** Returns the UTF-16 units of the character that begins with this byte; 0 for a byte inside a character. */
function unitsOfByte(byte: number): number {
  if ((byte & 0xc0) === 0x80) return 0
  return byte >= 0xf0 ? 2 : 1
}
