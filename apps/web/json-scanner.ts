import { isUtf8 } from 'node:buffer'
import { asBuffer } from './body.ts'
import { checkKey, readValue } from './increment.ts'
import type { IncrementList } from './increment-list.ts'
import type { ProblemCode } from './problems.ts'

/** Values of members that are not ours may be nested, within reason. */
const depthMax = 64

/**
 * Reads JSON (RFC 8259) of one shape from bytes. Stricter than JSON.parse where that would guess: numbers
 * are exact or refused, a member stands once, and keys are valid Unicode.
 */
export class JsonScanner {
  readonly #list: IncrementList
  /** The body, whatever the list makes of it. */
  readonly #bytes: Uint8Array
  readonly #end: number
  #position: number
  /** Of the object at hand: where its key stands in the bytes of the list. */
  #keyStart = 0
  #keyEnd = 0

  /** Reads what the list was reset to, from `start` to `end`. */
  constructor(list: IncrementList, start: number, end: number) {
    this.#list = list
    this.#bytes = list.bytes
    this.#position = start
    this.#end = end
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
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return
      this.#position++
    }
  }

  /**
   * Reads the array to its end, and that nothing is behind it; `item` reads one and answers whether it
   * could be read. Answers the index at which the text stops being an array, or null.
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
      const name = this.#text()
      if (name === null) return 'json_malformed'
      this.skipSpace()
      if (!this.#take(0x3a)) return 'json_malformed'
      this.skipSpace()
      if (name === 'key') {
        isRepeated ||= hasKey
        hasKey = true
        const read = this.#key()
        if (read === 'json_malformed') return read
        key = read
      } else if (name === 'value') {
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
    const literal = this.#string()
    if (literal === null) return 'json_malformed'
    const end = this.#position - 1
    this.#keyStart = start
    this.#keyEnd = end
    if (!literal.hasEscape) return checkKey(this.#bytes, start, end)
    const text = unescaped(this.#bytes, start, end)
    if (text === null) return 'json_malformed'
    // Between escapes, what is not UTF-8 has become U+FFFD; an escape can make half of a surrogate pair.
    if (!isUtf8(this.#bytes.subarray(start, end)) || !text.isWellFormed()) return 'key_not_utf8'
    const decoded = Buffer.from(text, 'utf8')
    this.#list.overwrite(start, decoded)
    this.#keyEnd = start + decoded.length
    return checkKey(decoded, 0, decoded.length)
  }

  #integer(): number | ProblemCode {
    const start = this.#position
    const byte = this.peek()
    const isNumber = byte === 0x2d || (byte >= 0x30 && byte <= 0x39)
    if (!isNumber) return this.#skipValue(0) ? 'value_not_integer' : 'json_malformed'
    const kind = this.#number()
    if (kind === null) return 'json_malformed'
    return kind === 'fraction' ? 'value_not_integer' : readValue(this.#bytes, start, this.#position)
  }

  /** A member's name; null when malformed. */
  #text(): string | null {
    if (this.peek() !== 0x22) return null
    const start = this.#position + 1
    const literal = this.#string()
    if (literal === null) return null
    const end = this.#position - 1
    return literal.hasEscape ? unescaped(this.#bytes, start, end) : this.#latin1(start, end)
  }

  /** Moves behind the closing quote; null when there is none, or a raw control character before it. */
  #string(): { hasEscape: boolean } | null {
    let hasEscape = false
    for (let index = this.#position + 1; index < this.#end; index++) {
      const byte = this.#bytes[index]!
      if (byte === 0x22) {
        this.#position = index + 1
        return { hasEscape }
      }
      if (byte < 0x20) return null
      if (byte === 0x5c) {
        hasEscape = true
        index++
      }
    }
    return null
  }

  /** Moves behind a number; null when it is none by JSON's grammar. */
  #number(): 'integer' | 'fraction' | null {
    this.#take(0x2d)
    if (!this.#take(0x30) && !this.#digits()) return null
    let kind: 'integer' | 'fraction' = 'integer'
    if (this.#take(0x2e)) {
      if (!this.#digits()) return null
      kind = 'fraction'
    }
    if ((this.peek() | 0x20) === 0x65) {
      this.#position++
      if (!this.#take(0x2b)) this.#take(0x2d)
      if (!this.#digits()) return null
      kind = 'fraction'
    }
    return kind
  }

  #latin1(start: number, end: number): string {
    return asBuffer(this.#bytes).toString('latin1', start, end)
  }

  #digits(): boolean {
    const start = this.#position
    while (this.peek() >= 0x30 && this.peek() <= 0x39) this.#position++
    return this.#position > start
  }

  /** Moves behind any value; false when it is malformed or nested too deeply. */
  #skipValue(depth: number): boolean {
    const byte = this.peek()
    if (byte === 0x22) return this.#text() !== null
    if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) return this.#number() !== null
    if (byte === 0x7b || byte === 0x5b) return depth < depthMax && this.#skipNested(depth + 1, byte === 0x7b)
    return ['true', 'false', 'null'].some(word => {
      if (this.#latin1(this.#position, this.#position + word.length) !== word) return false
      this.#position += word.length
      return this.#position <= this.#end
    })
  }

  #skipNested(depth: number, isObject: boolean): boolean {
    const close = isObject ? 0x7d : 0x5d
    this.#position++
    this.skipSpace()
    if (this.#take(close)) return true
    for (;;) {
      this.skipSpace()
      if (isObject) {
        if (this.#text() === null) return false
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

/** The text of a string literal with escapes; null when an escape is malformed. */
function unescaped(bytes: Uint8Array, start: number, end: number): string | null {
  try {
    return JSON.parse(`"${asBuffer(bytes).toString('utf8', start, end)}"`)
  } catch {
    return null
  }
}
