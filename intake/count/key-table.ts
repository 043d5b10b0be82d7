import { asBuffer, type IncrementList } from '../parse/increment-list.ts'
import { cellSize, cellsPerKey, emptyKeyTablePart, newKeyTablePart, type KeyTablePart } from './key-part.ts'
import { Records } from './key-records.ts'

/** Keys up to which there is one part; beyond, it would take milliseconds to grow. */
export const undividedMax = 32_768
const partCountMax = 256
const partBitsMax = 8
/**
 * Cells that are looked at for one key. Keys that somebody chose so that they all hash alike would otherwise
 * be compared with one another, each with all; those that find no cell go to a Map, whose hash nobody knows.
 */
const probesMax = 32

/**
 * Finds the record of a key, given as bytes. It makes no object for a key and none to look one up, so that
 * counting has next to no garbage. However many keys there are, it never grows all at once.
 */
export class KeyTable {
  /** The records of the keys, in the order in which they came. */
  readonly records: Records
  #size = 0
  /** One, or `partCountMax`. */
  #parts: KeyTablePart[]
  /** Bits of a mixed hash that say which part. */
  #partBits: number

  /** An empty one with room for as many keys as `other` has, whether it still has room or not. */
  static sizedLike(other: KeyTable): KeyTable {
    return new KeyTable(other.#size, other.records.unitCount)
  }

  /** Expects so many keys, and so many units of records; grows as needed. */
  constructor(keyCount = 0, unitCount = 0) {
    this.#partBits = keyCount > undividedMax ? partBitsMax : 0
    const partCount = 2 ** this.#partBits
    this.#parts = Array.from({ length: partCount }, () => newKeyTablePart(keyCount / partCount))
    this.records = new Records(unitCount)
  }

  get size(): number {
    return this.#size
  }

  /** Forgets all keys, and keeps the memory. */
  clear(): void {
    for (const part of this.#parts) emptyKeyTablePart(part)
    this.#size = 0
    this.records.clear()
  }

  /** The address of the record of one of the keys of `list`; -1 when it has none. */
  find(list: IncrementList, index: number): number {
    const { bytes } = list
    const start = list.keyStarts[index]!
    const end = list.keyEnds[index]!
    const hash = list.keyHashes[index]!
    const { cells, strays } = this.#partOf(hash)
    let cell = this.#firstCell(cells, hash)
    for (let probe = 0; probe < probesMax; probe++) {
      const address = cells[cell + 1]! - 1
      if (address === -1) return -1
      if (cells[cell] === hash && this.records.holds(address, bytes, start, end)) return address
      cell = (cell + cellSize) & (cells.length - 1)
    }
    return strays.get(latin1(bytes, start, end))?.address ?? -1
  }

  /** The address of the record of that key, which is made when it has none yet. */
  findOrAdd(list: IncrementList, index: number): number {
    const known = this.find(list, index)
    return known === -1 ? this.#add(list, index) : known
  }

  #add(list: IncrementList, index: number): number {
    const address = this.records.append(list.bytes, list.keyStarts[index]!, list.keyEnds[index]!)
    this.#size++
    this.#settle(address, list.keyHashes[index]!)
    if (this.#partBits === 0 && this.#size > undividedMax) this.#divide()
    return address
  }

  #partOf(hash: number): KeyTablePart {
    return this.#parts[this.#partBits === 0 ? 0 : mixed(hash) >>> (32 - partBitsMax)]!
  }

  #firstCell(cells: Int32Array, hash: number): number {
    // The upper bits, but for those that say which part: the multiplication made them depend on all others.
    const shift = Math.clz32(cells.length / cellSize) + 1
    return ((mixed(hash) << this.#partBits) >>> shift) * cellSize
  }

  /** Gives a record that has none its place. */
  #settle(address: number, hash: number): void {
    const part = this.#partOf(hash)
    if (!this.#place(part.cells, address, hash)) {
      part.strays.set(this.#latin1Of(address), { address, hash })
      return
    }
    part.keyCount++
    if (part.keyCount * cellsPerKey * cellSize > part.cells.length) this.#grow(part)
  }

  /** Returns false when no cell is free where the key may be. */
  #place(cells: Int32Array, address: number, hash: number): boolean {
    let cell = this.#firstCell(cells, hash)
    for (let probe = 0; probe < probesMax; probe++) {
      if (cells[cell + 1] === 0) {
        cells[cell] = hash
        cells[cell + 1] = address + 1
        return true
      }
      cell = (cell + cellSize) & (cells.length - 1)
    }
    return false
  }

  #grow(part: KeyTablePart): void {
    const { cells } = part
    part.cells = new Int32Array(2 * cells.length)
    part.keyCount = 0
    this.#settleAgain(cells, part.strays)
  }

  #divide(): void {
    const [whole] = this.#parts
    this.#partBits = partBitsMax
    const keyCount = (2 * undividedMax) / partCountMax
    this.#parts = Array.from({ length: partCountMax }, () => newKeyTablePart(keyCount))
    this.#settleAgain(whole!.cells, whole!.strays)
  }

  #settleAgain(cells: Int32Array, strays: KeyTablePart['strays']): void {
    const astray = [...strays.values()]
    strays.clear()
    for (let cell = 0; cell < cells.length; cell += cellSize)
      if (cells[cell + 1] !== 0) this.#settle(cells[cell + 1]! - 1, cells[cell]!)
    for (const { address, hash } of astray) this.#settle(address, hash)
  }

  #latin1Of(address: number): string {
    const { records } = this
    return latin1(records.bytesOf(address), records.keyStart(address), records.keyEnd(address))
  }
}

function mixed(hash: number): number {
  return Math.imul(hash, 0x9e3779b1)
}

/** A name for bytes, whatever they are. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  return asBuffer(bytes).toString('latin1', start, end)
}
