import { isUtf8 } from 'node:buffer'
import { keyBytesMax, valueMax } from '../../batch/limits.ts'
import type { ProblemCode } from './problems.ts'

export const keyName: Uint8Array = Buffer.from('key')
export const valueName: Uint8Array = Buffer.from('value')

/** Decimal digits that always fit: 2^53-1 has 16. */
const exactDigits = 15

/** Returns null when the bytes from `start` to `end`, already decoded, are a valid key. */
export function checkKey(bytes: Uint8Array, start: number, end: number): ProblemCode | null {
  if (start === end) return 'key_missing'
  if (end - start > keyBytesMax) return 'key_too_long'
  let isAscii = true
  for (let index = start; index < end; index++) {
    const byte = bytes[index]!
    if (byte < 0x20 || byte === 0x7f) return 'key_control_character'
    if (byte > 0x7f) isAscii = false
  }
  return isAscii || isUtf8(bytes.subarray(start, end)) ? null : 'key_not_utf8'
}

/** Reads digits with an optional sign; leading zeros do not count. */
export function readValue(bytes: Uint8Array, start: number, end: number): number | ProblemCode {
  if (start === end) return 'value_missing'
  const isNegative = bytes[start] === 0x2d
  let index = isNegative || bytes[start] === 0x2b ? start + 1 : start
  if (index === end) return 'value_not_integer'
  while (index < end - 1 && bytes[index] === 0x30) index++
  const digitCount = end - index
  let value = 0
  let last = 0
  for (let position = 0; position < digitCount; position++) {
    const digit = bytes[index + position]! - 0x30
    if (digit < 0 || digit > 9) return 'value_not_integer'
    if (position < exactDigits) value = value * 10 + digit
    else last = digit
  }
  // Subtracted from zero, and not negated: there is no -0, which V8 cannot keep as a small integer.
  if (digitCount <= exactDigits) return isNegative ? 0 - value : value
  if (digitCount > exactDigits + 1 || value > Math.floor((valueMax - last) / 10)) return 'value_out_of_range'
  value = value * 10 + last
  return isNegative ? 0 - value : value
}

/** Reports whether the bytes from `start` to `end` are `name`. */
export function isName(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  if (end - start !== name.length) return false
  for (let index = 0; index < name.length; index++) if (bytes[start + index] !== name[index]) return false
  return true
}
