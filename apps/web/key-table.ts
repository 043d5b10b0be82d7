import { asBuffer } from './body.ts'
import type { IncrementList } from './increment-list.ts'
import { cellCountMin, cellSize, cellsPerKey, emptyPart, newPart, type Part } from './key-part.ts'
import { PagedArray } from './paged-array.ts'

/** Keys up to which there is one part; beyond, it would take milliseconds to grow. */
export const undividedMax = 32_768
const partCountMax = 256
const partBitsMax = 8
/** First guess of the room that keys take. */
const keyBytesUsual = 16
/** Of a page of addresses, and of one of bytes, beyond which no key goes. */
const slotsPageLog2 = 14
const slotsPageMask = (1 << slotsPageLog2) - 1
const bytesPageLog2 = 20
const bytesPageMask = (1 << bytesPageLog2) - 1
/** The length of a key, before its bytes. */
const lengthBytes = 2
/**
 * Cells that are looked at for one key. Keys that somebody chose so that they all hash alike would otherwise
 * be compared with one another, each with all; those that find no cell go to a Map, whose hash nobody knows.
 */
const probesMax = 32

/**
 * Numbers keys, given as bytes, in the order in which they come: 0, 1, 2, …. It makes no object for a key
 * and none to look one up, so that counting has next to no garbage; strings are made when the keys are
 * wanted back. However many keys there are, it never grows all at once.
 */
export class KeyTable {
  #size = 0
  /** One, or `partCountMax`. */
  #parts: Part[]
  /** Bits of a mixed hash that say which part. */
  #partBits: number
  /** By slot: where its key is in the bytes below. */
  readonly #addresses: PagedArray<Uint32Array>
  readonly #bytes: PagedArray<Uint8Array>
  #bytesEnd = 0
  /** How often it was cleared. */
  #epoch = 0

  /** An empty one with room for as many keys as `other` has, whether it still has room or not. */
  static sizedLike(other: KeyTable): KeyTable {
    return new KeyTable(other.#size, other.#bytesEnd)
  }

  /** How many keys to expect, and how many bytes of them; it grows as needed. */
  constructor(keyCount = 0, byteCount = 0) {
    this.#partBits = keyCount > undividedMax ? partBitsMax : 0
    const partCount = 2 ** this.#partBits
    this.#parts = Array.from({ length: partCount }, () => newPart(keyCount / partCount, this.#epoch))
    const slotCount = Math.max(cellCountMin / cellsPerKey, keyCount)
    const bytesExpected = Math.max(slotCount * keyBytesUsual, byteCount)
    this.#addresses = new PagedArray(length => new Uint32Array(length), slotsPageLog2, slotCount)
    this.#bytes = new PagedArray(length => new Uint8Array(length), bytesPageLog2, bytesExpected)
  }

  get size(): number {
    return this.#size
  }

  /**
   * Forgets all keys, at no cost however many they were: a part is emptied when it is next looked at. The
   * memory is kept, and is warm.
   */
  clear(): void {
    this.#epoch++
    this.#size = 0
    this.#bytesEnd = 0
  }

  /** The slot of one of the keys of `list`; -1 when it has none. */
  find(list: IncrementList, index: number): number {
    const { bytes } = list
    const start = list.keyStarts[index]!
    const end = list.keyEnds[index]!
    const hash = list.keyHashes[index]!
    const { cells, strays } = this.#partOf(hash)
    let cell = this.#firstCell(cells, hash)
    for (let probe = 0; probe < probesMax; probe++) {
      const slot = cells[cell + 1]! - 1
      if (slot === -1) return -1
      if (cells[cell] === hash && this.#holds(slot, bytes, start, end)) return slot
      cell = (cell + cellSize) & (cells.length - 1)
    }
    return strays.get(latin1(bytes, start, end))?.slot ?? -1
  }

  /** The slot of that key; the next one, when it has none yet. */
  findOrAdd(list: IncrementList, index: number): number {
    const known = this.find(list, index)
    return known === -1 ? this.#add(list, index) : known
  }

  /** The bytes among which the key of that slot stands, from `startOf` to before `endOf`. */
  pageOf(slot: number): Uint8Array {
    return this.#pageAt(this.#addressOf(slot))
  }

  startOf(slot: number): number {
    return (this.#addressOf(slot) & bytesPageMask) + lengthBytes
  }

  endOf(slot: number): number {
    const start = this.startOf(slot)
    return start + lengthAt(this.pageOf(slot), start - lengthBytes)
  }

  #holds(slot: number, bytes: Uint8Array, start: number, end: number): boolean {
    const address = this.#addressOf(slot)
    const own = this.#pageAt(address)
    const at = address & bytesPageMask
    const length = end - start
    if (lengthAt(own, at) !== length) return false
    const from = at + lengthBytes
    for (let index = 0; index < length; index++) if (own[from + index] !== bytes[start + index]) return false
    return true
  }

  #add(list: IncrementList, index: number): number {
    const { bytes } = list
    const slot = this.#size++
    const start = list.keyStarts[index]!
    const length = list.keyEnds[index]! - start
    const address = this.#makeRoom(lengthBytes + length)
    this.#addresses.reserve(slot + 1)
    this.#addresses.pages[slot >>> slotsPageLog2]![slot & slotsPageMask] = address
    const own = this.#pageAt(address)
    const at = address & bytesPageMask
    own[at] = length & 0xff
    own[at + 1] = length >>> 8
    for (let offset = 0; offset < length; offset++) {
      own[at + lengthBytes + offset] = bytes[start + offset]!
    }
    this.#settle(slot, list.keyHashes[index]!)
    if (this.#partBits === 0 && this.#size > undividedMax) this.#divide()
    return slot
  }

  /** For so many bytes in one page; answers where they start. */
  #makeRoom(byteCount: number): number {
    const room = bytesPageMask + 1 - (this.#bytesEnd & bytesPageMask)
    const address = byteCount <= room ? this.#bytesEnd : this.#bytesEnd + room
    this.#bytesEnd = address + byteCount
    this.#bytes.reserve(this.#bytesEnd)
    return address
  }

  #addressOf(slot: number): number {
    return this.#addresses.pages[slot >>> slotsPageLog2]![slot & slotsPageMask]!
  }

  #pageAt(address: number): Uint8Array {
    return this.#bytes.pages[address >>> bytesPageLog2]!
  }

  #partOf(hash: number): Part {
    const part = this.#parts[this.#partBits === 0 ? 0 : mixed(hash) >>> (32 - partBitsMax)]!
    if (part.epoch !== this.#epoch) emptyPart(part, this.#epoch)
    return part
  }

  #firstCell(cells: Int32Array, hash: number): number {
    // The upper bits, but for those that say which part: the multiplication made them depend on all others.
    const shift = Math.clz32(cells.length / cellSize) + 1
    return ((mixed(hash) << this.#partBits) >>> shift) * cellSize
  }

  /** Gives a slot that has none its place. */
  #settle(slot: number, hash: number): void {
    const part = this.#partOf(hash)
    if (!this.#place(part.cells, slot, hash)) {
      part.strays.set(this.#latin1Of(slot), { slot, hash })
      return
    }
    part.keyCount++
    if (part.keyCount * cellsPerKey * cellSize > part.cells.length) this.#grow(part)
  }

  /** False when no cell is free where the key may be. */
  #place(cells: Int32Array, slot: number, hash: number): boolean {
    let cell = this.#firstCell(cells, hash)
    for (let probe = 0; probe < probesMax; probe++) {
      if (cells[cell + 1] === 0) {
        cells[cell] = hash
        cells[cell + 1] = slot + 1
        return true
      }
      cell = (cell + cellSize) & (cells.length - 1)
    }
    return false
  }

  #grow(part: Part): void {
    const { cells } = part
    part.cells = new Int32Array(2 * cells.length)
    part.keyCount = 0
    this.#settleAgain(cells, part.strays)
  }

  #divide(): void {
    const [whole] = this.#parts
    this.#partBits = partBitsMax
    this.#parts = Array.from({ length: partCountMax }, () =>
      newPart((2 * undividedMax) / partCountMax, this.#epoch),
    )
    this.#settleAgain(whole!.cells, whole!.strays)
  }

  #settleAgain(cells: Int32Array, strays: Part['strays']): void {
    const astray = [...strays.values()]
    strays.clear()
    for (let cell = 0; cell < cells.length; cell += cellSize)
      if (cells[cell + 1] !== 0) this.#settle(cells[cell + 1]! - 1, cells[cell]!)
    for (const { slot, hash } of astray) this.#settle(slot, hash)
  }

  #latin1Of(slot: number): string {
    return latin1(this.pageOf(slot), this.startOf(slot), this.endOf(slot))
  }
}

function lengthAt(page: Uint8Array, at: number): number {
  return page[at]! | (page[at + 1]! << 8)
}

function mixed(hash: number): number {
  return Math.imul(hash, 0x9e3779b1)
}

/** A name for bytes, whatever they are. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  return asBuffer(bytes).toString('latin1', start, end)
}
