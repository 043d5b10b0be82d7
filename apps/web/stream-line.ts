import { keyBytesMax } from '../../queue/limits.ts'
import type { Increment } from './increment.ts'
import { asciiKey } from './key-cache.ts'

const quote = 0x22
const space = 0x20
const backslash = 0x5c
const minus = 0x2d
const zero = 0x30

/** Decimal digits that always fit: 2^53-1 has 16. */
const exactDigits = 15

/**
 * The message that nearly every client sends, in one pass: `{"key":"foo","value":5}`, the key plain ASCII,
 * with a space behind each colon and comma or without, and perhaps a line break at the end. Null for any
 * other: what is wrong with it, if anything, is for the thorough reader to say.
 */
export function readUsualLine(bytes: Uint8Array): Increment | null {
  // Byte by byte: a loop over the names costs more than all the rest.
  const isKeyFirst =
    bytes[0] === 0x7b &&
    bytes[1] === quote &&
    bytes[2] === 0x6b &&
    bytes[3] === 0x65 &&
    bytes[4] === 0x79 &&
    bytes[5] === quote &&
    bytes[6] === 0x3a
  if (!isKeyFirst) return null
  const keyStart = bytes[7] === space ? 9 : 8
  if (bytes[keyStart - 1] !== quote) return null
  const length = bytes.length
  let keyEnd = keyStart
  let hash = 0
  for (; keyEnd < length; keyEnd++) {
    const byte = bytes[keyEnd]!
    if (byte === quote) break
    if (byte < 0x20 || byte > 0x7e || byte === backslash) return null
    hash = (Math.imul(hash, 31) + byte) | 0
  }
  if (keyEnd === keyStart || keyEnd - keyStart > keyBytesMax) return null
  const valueStart = valueStartBehind(bytes, keyEnd)
  if (valueStart === -1) return null
  const isNegative = bytes[valueStart] === minus
  const digitsStart = isNegative ? valueStart + 1 : valueStart
  let end = digitsStart
  let value = 0
  for (; end < length; end++) {
    const digit = bytes[end]! - zero
    if (digit < 0 || digit > 9) break
    value = value * 10 + digit
  }
  const digitCount = end - digitsStart
  const isJsonInteger = digitCount === 1 || (digitCount > 1 && bytes[digitsStart] !== zero)
  if (!isJsonInteger || digitCount > exactDigits || !isLastBrace(bytes, end)) return null
  // Subtracted from zero, and not negated: there is no -0.
  return { key: asciiKey(bytes, keyStart, keyEnd, hash), value: isNegative ? 0 - value : value }
}

/** Where the value starts, when `","value":` stands at the end of the key; otherwise -1. */
function valueStartBehind(bytes: Uint8Array, keyEnd: number): number {
  const start = bytes[keyEnd + 2] === space ? keyEnd + 3 : keyEnd + 2
  const isValueNext =
    bytes[keyEnd + 1] === 0x2c &&
    bytes[start] === quote &&
    bytes[start + 1] === 0x76 &&
    bytes[start + 2] === 0x61 &&
    bytes[start + 3] === 0x6c &&
    bytes[start + 4] === 0x75 &&
    bytes[start + 5] === 0x65 &&
    bytes[start + 6] === quote &&
    bytes[start + 7] === 0x3a
  if (!isValueNext) return -1
  return bytes[start + 8] === space ? start + 9 : start + 8
}

/** Whether nothing but the brace that closes the object, and perhaps a line break, stands at `start`. */
function isLastBrace(bytes: Uint8Array, start: number): boolean {
  const length = bytes.length
  if (bytes[start] !== 0x7d) return false
  return start + 1 === length || (start + 2 === length && bytes[start + 1] === 0x0a)
}
