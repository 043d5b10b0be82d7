import { endOf, startOf, type SumTable } from '../queue/sum-table.ts'

/** Below this many keys they are inserted one by one. */
const insertionMax = 12
/** From that many on they are distributed. */
const distributionMin = 256
const wordBytes = 4
/** Turns the order of unsigned words into that of signed ones. */
const signBit = 0x80000000

/**
 * The rows of `table` in the order of their keys' bytes, which is that of SQLite's BINARY collation, so
 * that neighbours in a transaction are neighbours in the table. Equal keys stand together.
 *
 * A key is looked at in words of four bytes, kept beside the rows, and no further than it takes. Many rows
 * are distributed by the bytes of their word, least significant first; fewer are parted by multikey
 * quicksort (J. Bentley and R. Sedgewick, Fast Algorithms for Sorting and Searching Strings, 1997), whose
 * pivot is drawn by lot, so that nobody can choose keys that make it slow.
 */
export function rowsInByteOrder(table: SumTable): Uint32Array {
  const { count } = table
  const rows = new Uint32Array(count)
  for (let row = 0; row < count; row++) rows[row] = row
  const words = new Int32Array(count)
  const spare = { rows: new Uint32Array(count), words: new Int32Array(count) }
  const counts = Array.from({ length: wordBytes }, () => new Uint32Array(256))
  sort({ table, rows, words, spare, counts }, 0, count, 0)
  return rows
}

interface Rows {
  readonly rows: Uint32Array
  /** `words[i]` is of the key of `rows[i]`, at the depth that is being sorted. */
  readonly words: Int32Array
}

interface Sorting extends Rows {
  readonly table: SumTable
  /** To distribute into. */
  readonly spare: Rows
  /** How often each value occurs, for each byte of a word. */
  readonly counts: readonly Uint32Array[]
}

/** Sorts rows from `low` to before `high`, whose keys are equal in their first `depth` bytes. */
function sort(sorting: Sorting, low: number, high: number, startDepth: number): void {
  let depth = startDepth
  for (;;) {
    readWords(sorting, low, high, depth)
    if (high - low < distributionMin) {
      sortByWords(sorting, low, high, depth)
      return
    }
    distribute(sorting, low, high)
    const first = sorting.words[low]!
    // All in common: no deeper stack for a long prefix.
    if (first !== sorting.words[high - 1]) break
    if (isLastWord(first)) return
    depth += wordBytes
  }
  const { words } = sorting
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

/** Sorts by words alone, stably; a byte that is the same in all words costs nothing but the look. */
function distribute({ rows, words, spare, counts }: Sorting, low: number, high: number): void {
  const [counts0, counts1, counts2, counts3] = counts as [Uint32Array, Uint32Array, Uint32Array, Uint32Array]
  for (const each of counts) each.fill(0)
  for (let index = low; index < high; index++) {
    const word = words[index]! ^ signBit
    counts0[word & 0xff]!++
    counts1[(word >>> 8) & 0xff]!++
    counts2[(word >>> 16) & 0xff]!++
    counts3[word >>> 24]!++
  }
  let from: Rows = { rows, words }
  let to = spare
  for (let byte = 0; byte < wordBytes; byte++) {
    const places = counts[byte]!
    const shift = 8 * byte
    if (places[((words[low]! ^ signBit) >>> shift) & 0xff] === high - low) continue
    toPlaces(places, low)
    scatter(from, to, { low, high, shift, places })
    ;[from, to] = [to, from]
  }
  if (from.rows === rows) return
  rows.set(from.rows.subarray(low, high), low)
  words.set(from.words.subarray(low, high), low)
}

/** From how many there are of each value to where the first of them goes. */
function toPlaces(counts: Uint32Array, low: number): void {
  let place = low
  for (let value = 0; value < counts.length; value++) {
    const count = counts[value]!
    counts[value] = place
    place += count
  }
}

interface Pass {
  readonly low: number
  readonly high: number
  readonly shift: number
  readonly places: Uint32Array
}

function scatter(from: Rows, to: Rows, { low, high, shift, places }: Pass): void {
  const { rows, words } = from
  const { rows: toRows, words: toWords } = to
  for (let index = low; index < high; index++) {
    const word = words[index]!
    const place = places[((word ^ signBit) >>> shift) & 0xff]!++
    toRows[place] = rows[index]!
    toWords[place] = word
  }
}

function readWords({ table, rows, words }: Sorting, low: number, high: number, depth: number): void {
  const { bytes, places } = table
  for (let index = low; index < high; index++) {
    const row = rows[index]!
    const at = places[startOf(row)]! + depth
    const end = places[endOf(row)]!
    words[index] = (at + wordBytes <= end ? wordAt(bytes, at) : lastWordAt(bytes, at, end)) ^ signBit
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}

/** Zeros stand for what is behind the end. */
function lastWordAt(bytes: Uint8Array, at: number, end: number): number {
  let word = 0
  for (let index = at; index < at + wordBytes; index++) word = (word << 8) | (index < end ? bytes[index]! : 0)
  return word
}

function sortByWords(sorting: Sorting, start: number, end: number, startDepth: number): void {
  const { rows, words } = sorting
  let low = start
  let high = end
  let depth = startDepth
  while (high - low > insertionMax) {
    const pivot = words[low + Math.floor(Math.random() * (high - low))]!
    let less = low
    let index = low
    let greater = high
    while (index < greater) {
      const word = words[index]!
      if (word === pivot) {
        index++
        continue
      }
      const other = word < pivot ? less++ : --greater
      words[index] = words[other]!
      words[other] = word
      const row = rows[index]!
      rows[index] = rows[other]!
      rows[other] = row
      if (word < pivot) index++
    }
    sortByWords(sorting, low, less, depth)
    sortByWords(sorting, greater, high, depth)
    if (isLastWord(pivot)) return
    low = less
    high = greater
    depth += wordBytes
    readWords(sorting, low, high, depth)
  }
  insert(sorting, low, high, depth)
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
