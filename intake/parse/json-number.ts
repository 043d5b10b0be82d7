import { readValue } from './increment.ts'
import type { ProblemCode } from './problems.ts'

const zero = 0x30
const nine = 0x39
const point = 0x2e

/** Returns the end of the number at `start`; -1 when it is none by JSON's grammar (RFC 8259, 6). */
export function numberEnd(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start] === 0x2d ? start + 1 : start
  let index = bytes[first] === zero && first < end ? first + 1 : digitsEnd(bytes, first, end)
  if (index !== -1 && index < end && bytes[index] === point) index = digitsEnd(bytes, index + 1, end)
  if (index === -1 || index >= end || (bytes[index]! | 0x20) !== 0x65) return index
  const sign = bytes[index + 1]
  return digitsEnd(bytes, sign === 0x2b || sign === 0x2d ? index + 2 : index + 1, end)
}

/**
 * Reads such a number. With a fraction of zeros it is an integer; with an exponent it is not: programs write
 * one where they have rounded.
 */
export function readNumber(bytes: Uint8Array, start: number, end: number): number | ProblemCode {
  let index = end
  while (index > start && bytes[index - 1] === zero) index--
  const isFraction = index > start && bytes[index - 1] === point
  return readValue(bytes, start, isFraction ? index - 1 : end)
}

/** Returns the end of one digit or more; -1 when there is none. */
function digitsEnd(bytes: Uint8Array, start: number, end: number): number {
  let index = start
  while (index < end && bytes[index]! >= zero && bytes[index]! <= nine) index++
  return index === start || start > end ? -1 : index
}
