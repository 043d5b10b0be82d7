import { hashOf } from '../../batch/key-hash.ts'
import type { SumTable } from '../../batch/sum-rows.ts'

/** A mebibyte of cells: what a processor has close by. */
const cellCountMax = 1 << 17
const cellCountMin = 64
/** Bytes of an element for a key and its sum. */
const bytesPerKeyUsual = 16
/** A cell is two integers: the hash of a key, and its row plus one, or 0 when free. */
const cellSize = 2
/** Cells in which a key may be: one line of the processor's cache holds two such sets. */
const setSize = 4 * cellSize
/** The share of looked-up keys that must be known; below it, looking costs more than it saves. */
const knownShareMin = 1 / 8
/** Looks per cell before that is judged; the first batch, which finds nothing, is left out. */
const judgedAfter = 1 / 2

/**
 * Where the keys are that came before, so that one that comes again, as most do from batch to batch, is
 * added to its row and need not be sorted once more. It does not know them all: a key without a cell gets
 * one row after the other. That is no fault, as rows of equal keys are merged in the end; so nothing has to
 * grow, and nobody can choose keys that make it slow.
 */
export class KeyCache {
  readonly #table: SumTable
  readonly #cells: Int32Array
  #lookedUp = 0
  #known = 0
  #isWorthIt = true

  /** For elements of so many bytes, whose rows are in `table`. */
  constructor(table: SumTable, byteCount: number) {
    let cellCount = cellCountMin
    while (cellCount < cellCountMax && cellCount * bytesPerKeyUsual < byteCount) cellCount *= 2
    this.#table = table
    this.#cells = new Int32Array(cellCount * cellSize)
  }

  /** Takes the rows from `firstRow` on into those that their keys have; those of other keys close up. */
  merge(firstRow: number): void {
    if (!this.#isWorthIt) return
    const table = this.#table
    const { count } = table
    table.count = firstRow
    for (let row = firstRow; row < count; row++) {
      const earlier = this.#find(row)
      if (earlier === -1 || !table.tryAddTo(earlier, row)) table.moveToEnd(row)
    }
    if (firstRow > 0) this.#judge(count - firstRow, count - table.count)
  }

  #judge(lookedUp: number, known: number): void {
    this.#lookedUp += lookedUp
    this.#known += known
    if (this.#lookedUp >= (judgedAfter * this.#cells.length) / cellSize)
      this.#isWorthIt = this.#known >= this.#lookedUp * knownShareMin
  }

  /** The row of the key of `row`; -1 when none is known, and then it is the next one of the table. */
  #find(row: number): number {
    const table = this.#table
    const cells = this.#cells
    const hash = hashOf(table.bytes, table.keyStart(row), table.keyEnd(row))
    const start = (Math.imul(hash, 0x9e3779b1) >>> 8) & (cells.length - setSize)
    for (let cell = start; cell < start + setSize; cell += cellSize) {
      const earlier = cells[cell + 1]! - 1
      if (earlier === -1) {
        cells[cell] = hash
        cells[cell + 1] = table.count + 1
        return -1
      }
      if (cells[cell] === hash && table.isSameKey(earlier, row)) return earlier
    }
    return -1
  }
}
