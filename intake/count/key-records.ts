/** The size of a page, in units of eight bytes: a mebibyte. An address is a page and a unit in it. */
export const pageUnitsLog2 = 17
export const pageUnitsMask = (1 << pageUnitsLog2) - 1
const pageUnits = 1 << pageUnitsLog2
const unitBytesLog2 = 3
const firstPageUnitsMin = 256
/** Offsets in a record, in bytes: behind the two numbers are the length of the key and the key. */
const lengthOffset = 16
const keyOffset = 18

/** The same memory, seen in two ways. */
interface Page {
  readonly numbers: Float64Array
  readonly bytes: Uint8Array
}

/**
 * Keys with two numbers each, one record behind the other, in pages:
 *
 *     first number (8 bytes) │ second number (8) │ length of the key (2) │ key │ up to 7 unused
 *
 * All that belongs to a key lies together, so that the processor fetches it in one or two lines of its cache,
 * and there is no object per key to collect. Memory grows by pages: nothing waits for a large copy.
 * A record is known by its address, in units of eight bytes, which is also the index of its first number.
 */
export class Records {
  /** `pages[address >>> pageUnitsLog2].numbers[address & pageUnitsMask]` is the first number of a record. */
  readonly pages: Page[]
  /** Where records end in each page but the last. */
  readonly #pageEnds: number[] = []
  /** Where the next record goes, if it fits into its page. */
  #end = 0

  /** Makes room for this many units at once, one page at most. */
  constructor(unitsExpected: number) {
    this.pages = [newPage(Math.min(pageUnits, Math.max(firstPageUnitsMin, unitsExpected)))]
  }

  /** Units in use. */
  get unitCount(): number {
    return this.#end
  }

  /** Forgets all records, and keeps the pages. */
  clear(): void {
    this.#pageEnds.length = 0
    this.#end = 0
  }

  /** A record of the key in `bytes` from `start` to `end`, its numbers zero; returns its address. */
  append(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start
    const address = this.#makeRoom(unitsFor(length))
    const page = this.pages[address >>> pageUnitsLog2]!
    const at = address & pageUnitsMask
    page.numbers[at] = 0
    page.numbers[at + 1] = 0
    const own = page.bytes
    const base = at << unitBytesLog2
    own[base + lengthOffset] = length & 0xff
    own[base + lengthOffset + 1] = length >>> 8
    for (let offset = 0; offset < length; offset++) own[base + keyOffset + offset] = bytes[start + offset]!
    return address
  }

  /** Reports whether the key of that record is the one in `bytes` from `start` to `end`. */
  holds(address: number, bytes: Uint8Array, start: number, end: number): boolean {
    const own = this.bytesOf(address)
    const from = this.keyStart(address)
    const length = end - start
    if (lengthBefore(own, from) !== length) return false
    for (let index = 0; index < length; index++) if (own[from + index] !== bytes[start + index]) return false
    return true
  }

  /** The bytes that hold the key of that record, from `keyStart` to before `keyEnd`. */
  bytesOf(address: number): Uint8Array {
    return this.pages[address >>> pageUnitsLog2]!.bytes
  }

  keyStart(address: number): number {
    return ((address & pageUnitsMask) << unitBytesLog2) + keyOffset
  }

  keyEnd(address: number): number {
    const start = this.keyStart(address)
    return start + lengthBefore(this.bytesOf(address), start)
  }

  /** The record behind that one; where the next would be, if it is the last. The first one is at 0. */
  next(address: number): number {
    const end = address + unitsFor(this.keyEnd(address) - this.keyStart(address))
    const index = address >>> pageUnitsLog2
    return end === this.#pageEnds[index] ? (index + 1) << pageUnitsLog2 : end
  }

  /** Makes room for so many units in one page; returns where they start. */
  #makeRoom(unitCount: number): number {
    const index = this.#end >>> pageUnitsLog2
    if ((this.#end & pageUnitsMask) + unitCount > pageUnits) {
      this.#pageEnds[index] = this.#end
      this.#end = (index + 1) << pageUnitsLog2
      return this.#makeRoom(unitCount)
    }
    const page = this.pages[index]
    const unitsWanted = (this.#end & pageUnitsMask) + unitCount
    if (page === undefined) this.pages.push(newPage(pageUnits))
    else if (unitsWanted > page.numbers.length) this.pages[index] = grown(page, unitsWanted)
    const address = this.#end
    this.#end += unitCount
    return address
  }
}

function newPage(unitCount: number): Page {
  const buffer = new ArrayBuffer(unitCount << unitBytesLog2)
  return { numbers: new Float64Array(buffer), bytes: new Uint8Array(buffer) }
}

function grown(page: Page, unitsWanted: number): Page {
  const larger = newPage(Math.min(pageUnits, Math.max(2 * page.numbers.length, unitsWanted)))
  larger.bytes.set(page.bytes)
  return larger
}

function unitsFor(keyLength: number): number {
  return (keyOffset + keyLength + 7) >>> unitBytesLog2
}

/** Returns the length of a key, which is right before it. */
function lengthBefore(bytes: Uint8Array, keyStart: number): number {
  return bytes[keyStart - 2]! | (bytes[keyStart - 1]! << 8)
}
