import { assert } from '../../lib/assert.ts'
import { keyBytesMax } from '../../queue/limits.ts'
import { keyHash } from './key-hash.ts'

/** Parts of the table, by the upper bits of the hash: each grows by itself, in some 50 µs at a million keys. */
const partCount = 256
const partShift = 24
/** Places in a part at first; it doubles when three quarters are taken. */
const placesMin = 64
/** Keys in a page of `#textOf`. */
const pageKeys = 16_384
const pageKeysLog2 = 14
/** Words in a page of texts: a key does not go beyond its page. */
const textPageWords = 65_536
const textPageWordsLog2 = 16
const asciiMax = 0x7f

/** The key that is looked for, as bytes, and as words, the last one filled up with zeros. */
const wantedBytes = Buffer.alloc(3 * keyBytesMax)
const wantedWords = new Int32Array(wantedBytes.buffer, wantedBytes.byteOffset, wantedBytes.length / 4)

/**
 * Keys by number, 0, 1, 2, … in the order in which they came, for very many of them: outside of the heap,
 * where the collector need neither visit nor move them, and without ever growing all at once. A Map of a
 * million strings costs pauses of 10 to 40 ms for either.
 */
export class KeyTable {
  /** Places of two words, open addressing: the hash of a key, and its number from 1. Zeros are a free place. */
  readonly #parts: Int32Array[] = []
  readonly #keysOfPart: number[] = []
  /** By number: where its text is. */
  readonly #textOf: Int32Array[] = []
  /** A word for a key, twice its length and 1 if it is not ASCII; then its bytes, filled up to a word. */
  readonly #texts: Int32Array[] = []
  #textsEnd = 0
  #size = 0
  readonly #hash: typeof keyHash

  constructor(hash: typeof keyHash = keyHash) {
    this.#hash = hash
  }

  get size(): number {
    return this.#size
  }

  /** The number of the key; -1 if it is not there. */
  find(key: string): number {
    if (this.#size === 0) return -1
    const length = write(key)
    const hash = this.#hash(wantedWords, length >>> 1)
    return this.#parts[hash >>> partShift]![this.#placeOf(length, hash) + 1]! - 1
  }

  /** The number of the key, which is `size` as it was before if the key is new. */
  findOrAdd(key: string): number {
    if (this.#size === 0) this.#begin()
    const length = write(key)
    const hash = this.#hash(wantedWords, length >>> 1)
    const place = this.#placeOf(length, hash)
    const part = this.#parts[hash >>> partShift]!
    const found = part[place + 1]!
    if (found !== 0) return found - 1
    const number = this.#size++
    part[place] = hash
    part[place + 1] = number + 1
    if (number >>> pageKeysLog2 === this.#textOf.length) this.#textOf.push(new Int32Array(pageKeys))
    this.#textOf[number >>> pageKeysLog2]![number & (pageKeys - 1)] = this.#store(length)
    if (++this.#keysOfPart[hash >>> partShift]! > part.length * (3 / 8)) this.#grow(hash >>> partShift)
    return number
  }

  keyAt(number: number): string {
    const text = this.#textAt(number)
    const page = this.#texts[text >>> textPageWordsLog2]!
    const index = text & (textPageWords - 1)
    const length = page[index]!
    const bytes = Buffer.from(page.buffer, (index + 1) * 4, length >>> 1)
    return bytes.toString((length & 1) === 0 ? 'latin1' : 'utf8')
  }

  #begin(): void {
    for (let index = 0; index < partCount; index++) {
      this.#parts.push(new Int32Array(2 * placesMin))
      this.#keysOfPart.push(0)
    }
  }

  /** Where the wanted key is in its part, or the free place where it belongs. */
  #placeOf(length: number, hash: number): number {
    const part = this.#parts[hash >>> partShift]!
    const mask = part.length - 2
    let place = (hash << 1) & mask
    for (;;) {
      const number = part[place + 1]!
      if (number === 0 || (part[place] === hash && this.#isWanted(number - 1, length))) return place
      place = (place + 2) & mask
    }
  }

  #isWanted(number: number, length: number): boolean {
    const text = this.#textAt(number)
    const page = this.#texts[text >>> textPageWordsLog2]!
    const start = text & (textPageWords - 1)
    if (page[start] !== length) return false
    const wordCount = ((length >>> 1) + 3) >>> 2
    for (let index = 0; index < wordCount; index++)
      if (page[start + 1 + index] !== wantedWords[index]) return false
    return true
  }

  #grow(index: number): void {
    const part = this.#parts[index]!
    const larger = new Int32Array(2 * part.length)
    const mask = larger.length - 2
    for (let from = 0; from < part.length; from += 2) {
      if (part[from + 1] === 0) continue
      let place = (part[from]! << 1) & mask
      while (larger[place + 1] !== 0) place = (place + 2) & mask
      larger[place] = part[from]!
      larger[place + 1] = part[from + 1]!
    }
    this.#parts[index] = larger
  }

  #textAt(number: number): number {
    return this.#textOf[number >>> pageKeysLog2]![number & (pageKeys - 1)]! >>> 0
  }

  #store(length: number): number {
    assert(length >>> 1 <= keyBytesMax, 'a key beyond the limit')
    const wordCount = ((length >>> 1) + 3) >>> 2
    const room = this.#texts.length * textPageWords - this.#textsEnd
    if (room < wordCount + 1) {
      this.#textsEnd = this.#texts.length * textPageWords
      this.#texts.push(new Int32Array(textPageWords))
    }
    const page = this.#texts.at(-1)!
    const text = this.#textsEnd
    const start = text & (textPageWords - 1)
    page[start] = length
    for (let index = 0; index < wordCount; index++) page[start + 1 + index] = wantedWords[index]!
    this.#textsEnd += wordCount + 1
    return text
  }
}

/** Makes it the wanted key. Answers twice its length in bytes, and 1 more if it is not ASCII. */
function write(key: string): number {
  const length = key.length
  for (let index = 0; index < length; index++) {
    const code = key.charCodeAt(index)
    if (code > asciiMax) return writeUtf8(key)
    wantedBytes[index] = code
  }
  fillUp(length)
  return 2 * length
}

function writeUtf8(key: string): number {
  const length = wantedBytes.write(key, 'utf8')
  fillUp(length)
  return 2 * length + 1
}

function fillUp(length: number): void {
  for (let index = length; (index & 3) !== 0; index++) wantedBytes[index] = 0
}
