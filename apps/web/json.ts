import type { IncrementList } from './increment-list.ts'
import { JsonScanner } from './json-scanner.ts'
import { errorsListedMax, type IncrementProblem, type ProblemCode } from './problems.ts'
import { readUsualObject } from './usual-object.ts'

/** What makes a body unfit: one code for the whole, and what is wrong where. */
export interface Refusal {
  readonly code: ProblemCode
  /** The first ones. */
  readonly errors: readonly IncrementProblem[]
}

const bracket = 0x5b
const lineFeed = 0x0a

/**
 * Reads `{"key":"foo","value":5}` or an array of such objects into `list`. Null, or why the body is refused
 * as a whole: what stands in `list` then is not to be counted.
 */
export function readJson(body: Uint8Array, list: IncrementList): Refusal | null {
  list.reset(body)
  if (body.length > 0 && readUsualObject(list, 0) === body.length) return null
  list.reset(body)
  const scanner = new JsonScanner(list)
  scanner.begin(0, body.length)
  scanner.skipSpace()
  if (scanner.peek() === bracket) return readArray(scanner, list)
  const code = scanner.increment()
  if (!scanner.isAtEnd()) return { code: 'json_malformed', errors: [] }
  return code === null ? null : { code, errors: [] }
}

/**
 * Reads one object a line into `list`; empty lines do not count. Null, or why the body is refused: what is
 * behind the last error that is listed was not looked at.
 */
export function readNdjson(body: Uint8Array, list: IncrementList): Refusal | null {
  list.reset(body)
  const scanner = new JsonScanner(list)
  const errors: IncrementProblem[] = []
  let line = 0
  for (let start = 0; start < body.length && errors.length < errorsListedMax; ) {
    line++
    start = skipSpace(body, start)
    const usualEnd = readUsualObject(list, start)
    const end = usualEnd === -1 ? start : skipSpace(body, usualEnd)
    if (end === body.length || body[end] === lineFeed) {
      start = end + 1
      continue
    }
    // Something else stands behind it: the thorough reader is to say what.
    if (usualEnd !== -1) list.length--
    const found = body.indexOf(lineFeed, end)
    const lineEnd = found === -1 ? body.length : found
    scanner.begin(start, lineEnd)
    const read = scanner.increment()
    const code = scanner.isAtEnd() ? read : 'json_malformed'
    if (code !== null) errors.push({ at: { line }, code })
    start = lineEnd + 1
  }
  return errors.length > 0 ? { code: 'increments_refused', errors } : null
}

/** Where the line goes on, or ends. */
function skipSpace(body: Uint8Array, start: number): number {
  let index = start
  while (body[index] === 0x20 || body[index] === 0x0d || body[index] === 0x09) index++
  return index
}

/** What is behind the last error that is listed was not looked at. */
function readArray(scanner: JsonScanner, list: IncrementList): Refusal | null {
  const errors: IncrementProblem[] = []
  const malformedIndex = scanner.array(index => {
    const usualEnd = readUsualObject(list, scanner.position)
    if (usualEnd !== -1) {
      scanner.skipTo(usualEnd)
      return true
    }
    const code = scanner.increment()
    if (code === 'json_malformed') return false
    if (code !== null) errors.push({ at: { index }, code })
    return errors.length < errorsListedMax
  })
  if (errors.length < errorsListedMax && malformedIndex !== null)
    return {
      code: 'json_malformed',
      errors: [...errors, { at: { index: malformedIndex }, code: 'json_malformed' }],
    }
  return errors.length > 0 ? { code: 'increments_refused', errors } : null
}
