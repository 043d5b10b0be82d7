import { endOf, startOf, type SumTable } from '../../batch/sum-rows.ts'

/** Up to this many keys they are inserted one by one; more are distributed. */
const insertionMax = 16
const wordBytes = 4

/**
 * The rows of `table` in the order of their keys' bytes, which is that of SQLite's BINARY collation, so
 * that neighbours in a transaction are neighbours in the table. Equal keys stand together.
 *
 * A radix sort: rows are distributed by one word of four bytes of their keys, and those with the same word by
 * the next one. It compares nothing, so nobody can choose keys that make it slow.
 */
export function rowsInByteOrder(table: SumTable): Uint32Array {
  const { count } = table
  const rows = new Uint32Array(count)
  for (let row = 0; row < count; row++) rows[row] = row
  const words = new Uint32Array(count)
  const spare = { rows: new Uint32Array(count), words: new Uint32Array(count) }
  sort({ table, rows, words, spare, places: new Uint32Array(256) }, 0, count, 0)
  return rows
}

interface Rows {
  readonly rows: Uint32Array
  /** `words[i]` is of the key of `rows[i]`, at the depth that is being sorted. */
  readonly words: Uint32Array
}

interface Sorting extends Rows {
  readonly table: SumTable
  /** To distribute into. */
  readonly spare: Rows
  /** For each value of a byte, where the next row with it goes. */
  readonly places: Uint32Array
}

/** Sorts the rows from `low` to before `high`, whose keys are equal in their first `depth` bytes. */
function sort(sorting: Sorting, low: number, high: number, depth: number): void {
  const { words } = sorting
  readWords(sorting, low, high, depth)
  if (high - low <= insertionMax) {
    insert(sorting, low, high, depth)
    return
  }
  for (let shift = 0; shift < 8 * wordBytes; shift += 8) distribute(sorting, low, high, shift)
  for (let start = low; start < high; ) {
    const word = words[start]!
    let end = start + 1
    while (end < high && words[end] === word) end++
    if (end - start > 1 && !isLastWord(word)) sort(sorting, start, end, depth + wordBytes)
    start = end
  }
}

/** A word that ends in a zero holds the end of its key: keys with this word are equal. */
function isLastWord(word: number): boolean {
  return (word & 0xff) === 0
}

/** Sorts by one byte of the words, stably. */
function distribute({ rows, words, spare, places }: Sorting, low: number, high: number, shift: number): void {
  places.fill(0)
  for (let index = low; index < high; index++) places[(words[index]! >>> shift) & 0xff]!++
  if (places[(words[low]! >>> shift) & 0xff] === high - low) return
  let next = low
  for (let value = 0; value < places.length; value++) {
    const count = places[value]!
    places[value] = next
    next += count
  }
  for (let index = low; index < high; index++) {
    const word = words[index]!
    const place = places[(word >>> shift) & 0xff]!++
    spare.rows[place] = rows[index]!
    spare.words[place] = word
  }
  rows.set(spare.rows.subarray(low, high), low)
  words.set(spare.words.subarray(low, high), low)
}

function readWords({ table, rows, words }: Sorting, low: number, high: number, depth: number): void {
  const { bytes, places } = table
  for (let index = low; index < high; index++) {
    const row = rows[index]!
    words[index] = wordAt(bytes, places[startOf(row)]! + depth, places[endOf(row)]!)
  }
}

/** Zeros stand for what is behind the end. */
function wordAt(bytes: Uint8Array, at: number, end: number): number {
  if (at + wordBytes <= end)
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  let word = 0
  for (let index = at; index < at + wordBytes; index++) word = (word << 8) | (index < end ? bytes[index]! : 0)
  return word
}

function insert({ table, rows, words }: Sorting, low: number, high: number, depth: number): void {
  for (let index = low + 1; index < high; index++) {
    const row = rows[index]!
    const word = words[index]!
    let to = index
    for (; to > low; to--) {
      const other = words[to - 1]!
      if (other < word) break
      if (other === word && !isLess(table, row, rows[to - 1]!, depth + wordBytes)) break
      rows[to] = rows[to - 1]!
      words[to] = other
    }
    rows[to] = row
    words[to] = word
  }
}

function isLess({ bytes, places }: SumTable, left: number, right: number, depth: number): boolean {
  let leftAt = places[startOf(left)]! + depth
  let rightAt = places[startOf(right)]! + depth
  const leftEnd = places[endOf(left)]!
  const rightEnd = places[endOf(right)]!
  while (leftAt < leftEnd && rightAt < rightEnd) {
    const difference = bytes[leftAt++]! - bytes[rightAt++]!
    if (difference !== 0) return difference < 0
  }
  return leftEnd - leftAt < rightEnd - rightAt
}
