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
  const scanner = new JsonScanner(list, 0, body.length)
  scanner.skipSpace()
  if (scanner.peek() === bracket) return readArray(scanner, list)
  const code = scanner.increment()
  if (!scanner.isAtEnd()) return { code: 'json_malformed', errors: [] }
  return code === null ? null : { code, errors: [] }
}

/** Reads one object a line into `list`; empty lines do not count. Null, or why the body is refused. */
export function readNdjson(body: Uint8Array, list: IncrementList): Refusal | null {
  list.reset(body)
  const errors: IncrementProblem[] = []
  let line = 0
  for (let start = 0; start < body.length; ) {
    line++
    const usualEnd = readUsualObject(list, start)
    if (usualEnd !== -1) {
      if (usualEnd === body.length || body[usualEnd] === lineFeed) {
        start = usualEnd + 1
        continue
      }
      // Something else stands behind it: the thorough reader is to say whether that is fine.
      list.length--
    }
    const found = body.indexOf(lineFeed, start)
    const end = found === -1 ? body.length : found
    const code = readLine(list, start, end)
    if (code !== null && errors.length < errorsListedMax) errors.push({ at: { line }, code })
    start = end + 1
  }
  return errors.length > 0 ? { code: 'increments_refused', errors } : null
}

function readLine(list: IncrementList, start: number, end: number): ProblemCode | null {
  const scanner = new JsonScanner(list, start, end)
  scanner.skipSpace()
  if (scanner.isAtEnd()) return null
  const code = scanner.increment()
  return scanner.isAtEnd() ? code : 'json_malformed'
}

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
    if (code !== null && errors.length < errorsListedMax) errors.push({ at: { index }, code })
    return true
  })
  if (malformedIndex !== null) {
    const last: IncrementProblem = { at: { index: malformedIndex }, code: 'json_malformed' }
    return { code: 'json_malformed', errors: [...errors.slice(0, errorsListedMax - 1), last] }
  }
  return errors.length > 0 ? { code: 'increments_refused', errors } : null
}
