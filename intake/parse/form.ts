import { isUtf8 } from 'node:buffer'
import { hashStart, hashStep } from '../../batch/key-hash.ts'
import { keyBytesMax } from '../../batch/limits.ts'
import { checkKey, isName, keyName, readValue, valueName } from './increment.ts'
import { asBuffer, type IncrementList } from './increment-list.ts'
import { markEnd, skipSpace } from './json.ts'
import type { ProblemCode } from './problems.ts'

export const formType = 'application/x-www-form-urlencoded'

const ampersand = 0x26
const equals = 0x3d
const plus = 0x2b
const percent = 0x25
const lineFeed = 0x0a
const carriageReturn = 0x0d
/** `{`, `[` and `"`. */
const jsonStarts = [0x7b, 0x5b, 0x22]
/** What no encoded byte of a name is: a control character, a space, or what JSON, markup and code are full of. */
const encodedByte = '%(?![01]|20|22|28|29|3[CcEe]|7[BbDdFf])[0-9A-Fa-f]{2}'
const name = `(?:[\\p{L}\\p{N}_$.:-]|(?!%5[BbDd])${encodedByte})(?:[\\p{L}\\p{M}\\p{N}_$.:[\\]-]|${encodedByte})*`
const field = `${name}(?:=[^&]*)?`
/** Reads each character in one way only, so that it takes linear time whatever it is given. */
const fieldsPattern = new RegExp(`^&*${field}(?:&+${field})*&*$`, 'u')
const beforeKey: Uint8Array = Buffer.from('key=')
const beforeValue: Uint8Array = Buffer.from('&value=')

/** The place of a field's value in the bytes; `end` is -1 while the field was not seen. */
interface Span {
  start: number
  end: number
}

/**
 * Reads `key=foo&value=5` into `list`: application/x-www-form-urlencoded as the WHATWG URL standard
 * parses it (`+` is a space, `%XX` a byte, a `%` that no two hexadecimal digits follow is itself), but strict
 * where that standard guesses: invalid UTF-8 and repeated fields are refused. Other fields are ignored. Three
 * things are as the seed took them: one line break at the very end of the body, a `+` before the value, and
 * fields in the query string. A byte-order mark before the body is skipped. JSON is refused, and beside
 * fields in the query string so is any other body that is no form.
 */
export function readForm(body: Uint8Array, query: string, list: IncrementList): ProblemCode | null {
  list.reset(body)
  if (query === '' && readUsualForm(list)) return null
  return isJson(body) ? 'json_called_form' : readFields(body, query, list)
}

/** Reads any form; by itself, as the usual one is read faster when this is not beside it. */
function readFields(body: Uint8Array, query: string, list: IncrementList): ProblemCode | null {
  const rest = asBuffer(body.subarray(markEnd(body)))
  const asked = Buffer.from(query, 'utf8')
  const bytes = query === '' ? rest : joinFields(asked, rest)
  const key: Span = { start: 0, end: -1 }
  const value: Span = { start: 0, end: -1 }
  const length = withoutLineBreak(bytes)
  let isEncoded = false
  for (let start = 0; start < length; ) {
    let nameEnd = -1
    let end = start
    for (; end < length; end++) {
      const byte = bytes[end]
      if (byte === ampersand) break
      if (byte === equals && nameEnd === -1) nameEnd = end
      else if (byte === percent || byte === plus) isEncoded = true
    }
    if (nameEnd === -1) nameEnd = end
    const span = fieldNamed(bytes, start, nameEnd, key, value)
    if (span !== null) {
      if (span.end !== -1) return 'field_repeated'
      span.start = Math.min(nameEnd + 1, end)
      span.end = end
    }
    start = end + 1
  }
  const isFromQuery = ({ start, end }: Span) => end !== -1 && start <= asked.length
  if (isFromQuery(key) || isFromQuery(value)) {
    const problem = checkForm(rest)
    if (problem !== null) return problem
  }
  return isEncoded ? readEncoded(bytes, key, value, list) : readPlain(bytes, key, value, list)
}

/** Reports whether the body begins like an object or an array of increments, as no form with a key does. */
function isJson(body: Uint8Array): boolean {
  const start = skipSpace(body, markEnd(body))
  const next = body[skipSpace(body, start + 1)]
  if (body[start] === 0x7b) return next === 0x22 || next === 0x7d
  return body[start] === 0x5b && (next === 0x7b || next === 0x5d)
}

/** Returns null for a blank body, or fields with names and values, as it must have beside other fields. */
function checkForm(body: Buffer): ProblemCode | null {
  const start = skipSpace(body, 0)
  if (start === body.length) return null
  if (jsonStarts.includes(body[start]!)) return 'json_called_form'
  const fields = body.subarray(0, withoutLineBreak(body))
  const isText = fields.every(byte => byte >= 0x20 && byte !== 0x7f) && isUtf8(fields)
  const isForm = isText && fields.includes(equals) && fieldsPattern.test(fields.toString('utf8'))
  return isForm ? null : 'content_type_unknown'
}

/**
 * The form that nearly every client sends, in one pass: `key=`, plain ASCII, `&value=`, an integer, and
 * nothing else. False for any other: what is wrong with it, if anything, is for the thorough reader to say.
 */
function readUsualForm(list: IncrementList): boolean {
  const { bytes } = list
  const { length } = bytes
  const keyStart = beforeKey.length
  if (!isName(bytes, 0, keyStart, beforeKey)) return false
  let end = keyStart
  let hash = hashStart
  for (; end < length; end++) {
    const byte = bytes[end]!
    if (byte === ampersand) break
    if (byte < 0x20 || byte > 0x7e || byte === percent || byte === plus) return false
    hash = hashStep(hash, byte)
  }
  const valueStart = end + beforeValue.length
  if (end === keyStart || end - keyStart > keyBytesMax) return false
  if (!isName(bytes, end, valueStart, beforeValue)) return false
  const value = readValue(bytes, valueStart, length)
  if (typeof value === 'string') return false
  list.add(keyStart, end, hash, value)
  return true
}

function readPlain(bytes: Buffer, key: Span, value: Span, list: IncrementList): ProblemCode | null {
  if (key.end === -1) return 'key_missing'
  if (value.end === -1) return 'value_missing'
  const problem = checkKey(bytes, key.start, key.end)
  if (problem !== null) return problem
  const number = readValue(bytes, value.start, value.end)
  if (typeof number === 'string') return number
  list.reset(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length))
  list.addUnhashed(key.start, key.end, number)
  return null
}

function readEncoded(bytes: Buffer, key: Span, value: Span, list: IncrementList): ProblemCode | null {
  if (key.end === -1) return 'key_missing'
  if (value.end === -1) return 'value_missing'
  const keyBytes = decode(bytes, key.start, key.end)
  // Decoded, `value=+5` would be a space and a five; nobody means that.
  const signEnd = bytes[value.start] === plus && value.start < value.end ? value.start + 1 : value.start
  const valueBytes = Buffer.concat([bytes.subarray(value.start, signEnd), decode(bytes, signEnd, value.end)])
  return readPlain(
    Buffer.concat([keyBytes, valueBytes]),
    { start: 0, end: keyBytes.length },
    { start: keyBytes.length, end: keyBytes.length + valueBytes.length },
    list,
  )
}

function fieldNamed(bytes: Buffer, start: number, end: number, key: Span, value: Span): Span | null {
  if (isName(bytes, start, end, keyName)) return key
  if (isName(bytes, start, end, valueName)) return value
  // None of them in any encoding, and there may be a million.
  const length = end - start
  if (length <= keyName.length || length > 3 * valueName.length) return null
  const decoded = decode(bytes, start, end)
  if (decoded.equals(keyName)) return key
  return decoded.equals(valueName) ? value : null
}

/** Decodes a name or a value; the result is never longer. */
function decode(bytes: Buffer, start: number, end: number): Buffer {
  const decoded = Buffer.allocUnsafe(end - start)
  let length = 0
  for (let index = start; index < end; index++) {
    let byte = bytes[index]!
    if (byte === plus) byte = 0x20
    else if (byte === percent && index + 2 < end) {
      const high = hexadecimal(bytes[index + 1]!)
      const low = hexadecimal(bytes[index + 2]!)
      if (high !== -1 && low !== -1) {
        byte = high * 16 + low
        index += 2
      }
    }
    decoded[length++] = byte
  }
  return decoded.subarray(0, length)
}

function hexadecimal(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

function joinFields(query: Buffer, body: Buffer): Buffer {
  return Buffer.concat([query, Buffer.from('&'), body])
}

/**
 * Files that an editor wrote end in a line break, and `vegeta -body` and `curl --data-binary` send it
 * along.
 */
function withoutLineBreak(bytes: Buffer): number {
  let length = bytes.length
  if (length > 0 && bytes[length - 1] === lineFeed) length--
  if (length > 0 && length < bytes.length && bytes[length - 1] === carriageReturn) length--
  return length
}
