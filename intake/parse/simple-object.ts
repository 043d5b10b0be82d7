import { hashStart, hashStep } from '../../batch/key-hash.ts'
import { keyBytesMax } from '../../batch/limits.ts'
import type { IncrementList } from './increment-list.ts'

const quote = 0x22
const minus = 0x2d
const zero = 0x30
/** Decimal digits that always fit: 2^53-1 has 16. */
const digitsMax = 15

/** A table by byte: 1 for ASCII that stands for itself in a JSON string. */
const isPlain = Uint8Array.from({ length: 256 }, (_, byte) =>
  Number(byte >= 0x20 && byte < 0x7f && byte !== quote && byte !== 0x5c),
)

/**
 * Reads the object that nearly every client sends, in one pass from bytes to a number: `{"key":"`, plain
 * ASCII, `","value":`, an integer, `}`; a space may follow each colon and the comma, as Python writes it.
 * Returns where it ends; -1, and adds nothing, for anything else: what that is, is for JsonScanner to say.
 */
export function readUsualObject(list: IncrementList, start: number): number {
  const { bytes } = list
  const { length } = bytes
  // Byte by byte, and all of it in one function: this is where a batch spends its time.
  const isKeyNext =
    bytes[start] === 0x7b &&
    bytes[start + 1] === quote &&
    bytes[start + 2] === 0x6b &&
    bytes[start + 3] === 0x65 &&
    bytes[start + 4] === 0x79 &&
    bytes[start + 5] === quote &&
    bytes[start + 6] === 0x3a
  if (!isKeyNext) return -1
  let index = start + 7
  if (bytes[index] === 0x20) index++
  if (bytes[index] !== quote) return -1
  const keyStart = index + 1
  let hash = hashStart
  for (index = keyStart; index < length; index++) {
    const byte = bytes[index]!
    if (isPlain[byte] === 0) break
    hash = hashStep(hash, byte)
  }
  const keyEnd = index
  if (keyEnd === keyStart || keyEnd - keyStart > keyBytesMax) return -1
  if (bytes[index] !== quote || bytes[index + 1] !== 0x2c) return -1
  index += bytes[index + 2] === 0x20 ? 3 : 2
  const isValueNext =
    bytes[index] === quote &&
    bytes[index + 1] === 0x76 &&
    bytes[index + 2] === 0x61 &&
    bytes[index + 3] === 0x6c &&
    bytes[index + 4] === 0x75 &&
    bytes[index + 5] === 0x65 &&
    bytes[index + 6] === quote &&
    bytes[index + 7] === 0x3a
  if (!isValueNext) return -1
  index += bytes[index + 8] === 0x20 ? 9 : 8
  const isNegative = bytes[index] === minus
  if (isNegative) index++
  const digitsStart = index
  let value = 0
  for (; index < length; index++) {
    const digit = bytes[index]! - zero
    if (digit < 0 || digit > 9) break
    value = value * 10 + digit
  }
  const digitCount = index - digitsStart
  if (digitCount === 0 || digitCount > digitsMax || bytes[index] !== 0x7d) return -1
  if (bytes[digitsStart] === zero && digitCount > 1) return -1
  // Subtracted from zero, and not negated: there is no -0.
  list.add(keyStart, keyEnd, hash, isNegative ? 0 - value : value)
  return index + 1
}
