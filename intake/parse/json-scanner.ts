import { isUtf8 } from 'node:buffer'
import { checkKey, isName, keyName, readValue, valueName } from './increment.ts'
import type { IncrementList } from './increment-list.ts'
import { numberEnd, readNumber } from './json-number.ts'
import { backslash, decodeString, escapeEnd } from './json-string.ts'
import type { ProblemCode } from './problems.ts'

/** Values of members that are not ours may be nested, within reason. */
const depthMax = 64
const words = [Buffer.from('true'), Buffer.from('false'), Buffer.from('null')]
/** A longer name is none of ours, even if all of it is escaped. */
const escapedNameBytesMax = 6 * valueName.length
const decodedName = Buffer.alloc(escapedNameBytesMax)

/**
 * Reads JSON (RFC 8259) of one shape from bytes. Stricter than JSON.parse where that would guess: numbers are
 * exact or refused, a member occurs once, and keys are valid Unicode.
 */
export class JsonScanner {
  readonly #list: IncrementList
  /** The body, whatever the list makes of it. */
  readonly #bytes: Uint8Array
  #end = 0
  #position = 0
  /** Line feeds since the beginning: those of white space, as there are no others in JSON. */
  linesPassed = 0
  /** Where the key of the current object is in the bytes of the list. */
  #keyStart = 0
  #keyEnd = 0

  /** Reads what the list was reset to. */
  constructor(list: IncrementList) {
    this.#list = list
    this.#bytes = list.bytes
  }

  /** Sets the range to read to `start` until `end`. */
  begin(start: number, end: number): void {
    this.#position = start
    this.#end = end
    this.linesPassed = 0
  }

  get position(): number {
    return this.#position
  }

  /** Moves behind what somebody else has read. */
  skipTo(position: number): void {
    this.#position = position
  }

  /** The byte at hand; -1 at the end. */
  peek(): number {
    return this.#position < this.#end ? this.#bytes[this.#position]! : -1
  }

  isAtEnd(): boolean {
    this.skipSpace()
    return this.#position === this.#end
  }

  skipSpace(): void {
    for (;;) {
      const byte = this.peek()
      if (byte === 0x0a) this.linesPassed++
      else if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) return
      this.#position++
    }
  }

  /**
   * Reads the array to its end, and that nothing is behind it; `item` reads one, and returns whether to go
   * on. Returns the index at which it did not, or the text stopped being an array, or null.
   */
  array(item: (index: number) => boolean): number | null {
    this.#position++
    this.skipSpace()
    if (this.#take(0x5d)) return this.isAtEnd() ? null : 0
    for (let index = 0; ; index++) {
      this.skipSpace()
      if (!item(index)) return index
      this.skipSpace()
      if (this.#take(0x5d)) return this.isAtEnd() ? null : index + 1
      if (!this.#take(0x2c)) return index + 1
    }
  }

  /** Reads one object into the list; `json_malformed`: it is none, another code: it is no increment. */
  increment(): ProblemCode | null {
    if (!this.#take(0x7b)) return this.#skipValue(0) ? 'increment_not_object' : 'json_malformed'
    let key: ProblemCode | null = 'key_missing'
    let value: number | ProblemCode = 'value_missing'
    let isRepeated = false
    this.skipSpace()
    if (this.#take(0x7d)) return key
    let hasKey = false
    let hasValue = false
    for (;;) {
      this.skipSpace()
      const name = this.#name()
      if (name === null) return 'json_malformed'
      this.skipSpace()
      if (!this.#take(0x3a)) return 'json_malformed'
      this.skipSpace()
      if (name === keyName) {
        isRepeated ||= hasKey
        hasKey = true
        const read = this.#key()
        if (read === 'json_malformed') return read
        key = read
      } else if (name === valueName) {
        isRepeated ||= hasValue
        hasValue = true
        const read = this.#integer()
        if (read === 'json_malformed') return read
        value = read
      } else if (!this.#skipValue(0)) return 'json_malformed'
      this.skipSpace()
      if (this.#take(0x7d)) break
      if (!this.#take(0x2c)) return 'json_malformed'
    }
    if (isRepeated) return 'field_repeated'
    if (key !== null) return key
    if (typeof value === 'string') return value
    this.#list.addUnhashed(this.#keyStart, this.#keyEnd, value)
    return null
  }

  #take(byte: number): boolean {
    if (this.peek() !== byte) return false
    this.#position++
    return true
  }

  #key(): ProblemCode | null {
    if (this.peek() !== 0x22) return this.#skipValue(0) ? 'key_not_text' : 'json_malformed'
    const start = this.#position + 1
    const hasEscape = this.#string()
    if (hasEscape === null) return 'json_malformed'
    const end = this.#position - 1
    this.#keyStart = start
    this.#keyEnd = end
    if (!hasEscape) return checkKey(this.#bytes, start, end)
    const decoded = this.#list.ownBytes()
    this.#keyEnd = decodeString(this.#bytes, start, end, decoded, start)
    if (this.#keyEnd === -1 || !isUtf8(decoded.subarray(start, this.#keyEnd))) return 'key_not_utf8'
    return checkKey(decoded, start, this.#keyEnd)
  }

  #integer(): number | ProblemCode {
    const start = this.#position
    const byte = this.peek()
    if (byte === 0x22) return this.#integerInString()
    const isNumber = byte === 0x2d || (byte >= 0x30 && byte <= 0x39)
    if (!isNumber) return this.#skipValue(0) ? 'value_not_integer' : 'json_malformed'
    return this.#number() ? readNumber(this.#bytes, start, this.#position) : 'json_malformed'
  }

  /** Reads an integer in a string, as strict as the value of a form. */
  #integerInString(): number | ProblemCode {
    const start = this.#position + 1
    const hasEscape = this.#string()
    if (hasEscape === null) return 'json_malformed'
    const end = this.#position - 1
    if (!hasEscape) return readValue(this.#bytes, start, end)
    const decoded = this.#list.ownBytes()
    const decodedEnd = decodeString(this.#bytes, start, end, decoded, start)
    return decodedEnd === -1 ? 'value_not_integer' : readValue(decoded, start, decodedEnd)
  }

  /** A member's name, if it is one of ours, `undefined` if not; null when malformed. */
  #name(): Uint8Array | undefined | null {
    if (this.peek() !== 0x22) return null
    const start = this.#position + 1
    const hasEscape = this.#string()
    if (hasEscape === null) return null
    const end = this.#position - 1
    if (!hasEscape) return ourName(this.#bytes, start, end)
    if (end - start > escapedNameBytesMax) return undefined
    return ourName(decodedName, 0, decodeString(this.#bytes, start, end, decodedName, 0))
  }

  /** Moves behind the closing quote: whether there are escapes; null when this is no string. */
  #string(): boolean | null {
    const bytes = this.#bytes
    const end = this.#end
    let hasEscape = false
    for (let index = this.#position + 1; index < end; index++) {
      const byte = bytes[index]!
      if (byte === 0x22) {
        this.#position = index + 1
        return hasEscape
      }
      if (byte < 0x20) return null
      if (byte === backslash) {
        hasEscape = true
        index = escapeEnd(bytes, index, end) - 1
        if (index < 0) return null
      }
    }
    return null
  }

  /** Moves behind a number; false when it is none. */
  #number(): boolean {
    const end = numberEnd(this.#bytes, this.#position, this.#end)
    if (end === -1) return false
    this.#position = end
    return true
  }

  /** Moves behind any value; false when it is malformed or nested too deeply. */
  #skipValue(depth: number): boolean {
    const byte = this.peek()
    if (byte === 0x22) return this.#string() !== null
    if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) return this.#number()
    if (byte === 0x7b || byte === 0x5b) return depth < depthMax && this.#skipNested(depth + 1, byte === 0x7b)
    for (const word of words) if (word[0] === byte) return word.every(each => this.#take(each))
    return false
  }

  #skipNested(depth: number, isObject: boolean): boolean {
    const close = isObject ? 0x7d : 0x5d
    this.#position++
    this.skipSpace()
    if (this.#take(close)) return true
    for (;;) {
      this.skipSpace()
      if (isObject) {
        if (this.peek() !== 0x22 || this.#string() === null) return false
        this.skipSpace()
        if (!this.#take(0x3a)) return false
        this.skipSpace()
      }
      if (!this.#skipValue(depth)) return false
      this.skipSpace()
      if (this.#take(close)) return true
      if (!this.#take(0x2c)) return false
    }
  }
}

function ourName(bytes: Uint8Array, start: number, end: number): Uint8Array | undefined {
  if (isName(bytes, start, end, keyName)) return keyName
  return isName(bytes, start, end, valueName) ? valueName : undefined
}
