import type { IncrementList } from './increment-list.ts'
import { JsonScanner } from './json-scanner.ts'
import { errorsListedMax, type IncrementProblem, type Refusal } from './problems.ts'
import { readUsualObject } from './simple-object.ts'

const bracket = 0x5b
const brace = 0x7b
const lineFeed = 0x0a

/**
 * Reads one or more objects such as `{"key":"foo","value":5}`, with white space or nothing between them, or
 * one array of them, into `list`. Returns null, or why the body is refused as a whole: nothing in `list` may
 * be counted then. Nothing behind what is no JSON was looked at.
 */
export function readJson(body: Uint8Array, list: IncrementList): Refusal | null {
  const refused = readIncrements(body, list, false)
  if (refused === null && list.length === 0 && !isArray(body)) return { code: 'json_malformed', errors: [] }
  if (refused === null || list.length > 0 || refused.errors.length !== 1 || isArray(body)) return refused
  // The code says everything about a single object.
  return { code: refused.errors[0]!.code, errors: [] }
}

/**
 * Reads the same, and no object at all, into `list`. What is no JSON is refused like an unfit object, by its
 * line: reading goes on behind it, up to the last error that is listed.
 */
export function readNdjson(body: Uint8Array, list: IncrementList): Refusal | null {
  return readIncrements(body, list, true)
}

function readIncrements(body: Uint8Array, list: IncrementList, isByLine: boolean): Refusal | null {
  list.reset(body)
  return isArray(body) ? readArray(body, list) : readObjects(body, list, isByLine)
}

function isArray(body: Uint8Array): boolean {
  return body[skipSpace(body, markEnd(body))] === bracket
}

function readObjects(body: Uint8Array, list: IncrementList, isByLine: boolean): Refusal | null {
  const { length } = body
  const errors: IncrementProblem[] = []
  let scanner: JsonScanner | null = null
  let line = 1
  /** Among those that begin in this line. */
  let object = 1
  /** The end of an object that turned out to be malformed: up to here none is read beyond its own line. */
  let brokenEnd = 0
  for (let position = markEnd(body); position < length && errors.length < errorsListedMax; ) {
    const usualEnd = readUsualObject(list, position)
    if (usualEnd !== -1) {
      const behind = body[usualEnd] === 0x0d ? usualEnd + 1 : usualEnd
      const isLineOver = body[behind] === lineFeed
      position = isLineOver ? behind + 1 : behind
      line += Number(isLineOver)
      object = isLineOver ? 1 : object + 1
      continue
    }
    const start = skipSpace(body, position)
    let end = start
    let lineCount = countLines(body, position, start)
    if (start === position) {
      scanner ??= new JsonScanner(list)
      scanner.begin(start, start < brokenEnd ? lineEnd(body, start) : length)
      const code = scanner.increment()
      end = scanner.position
      lineCount = scanner.linesPassed
      if (code !== null) errors.push({ at: object > 1 ? { line, object } : { line }, code })
      if (code === 'json_malformed') {
        if (!isByLine) return { code, errors }
        brokenEnd = Math.max(brokenEnd, end)
        end = nextStart(body, start, brokenEnd)
        lineCount = countLines(body, start, end)
      }
    }
    line += lineCount
    object = lineCount > 0 ? 1 : object + Number(start === position)
    position = end
  }
  return errors.length > 0 ? { code: 'increments_refused', errors } : null
}

/** Returns the end of a byte-order mark, which Windows likes to put before UTF-8; 0 when there is none. */
export function markEnd(body: Uint8Array): number {
  return body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0
}

/** Returns the place of the next byte that is no white space, or the end of the body. */
export function skipSpace(body: Uint8Array, start: number): number {
  let index = start
  while (body[index] === lineFeed || body[index] === 0x20 || body[index] === 0x0d || body[index] === 0x09)
    index++
  return index
}

function lineEnd(body: Uint8Array, start: number): number {
  const found = body.indexOf(lineFeed, start)
  return found === -1 ? body.length : found
}

/** Returns the place to go on at in a later line: up to `brokenEnd` only where that begins with an object. */
function nextStart(body: Uint8Array, start: number, brokenEnd: number): number {
  let next = start
  do next = skipSpace(body, Math.min(body.length, lineEnd(body, next) + 1))
  while (next <= brokenEnd && next < body.length && body[next] !== brace)
  return next
}

function countLines(body: Uint8Array, start: number, end: number): number {
  let count = 0
  for (let index = start; index < end; index++) if (body[index] === lineFeed) count++
  return count
}

/** Reads an array of increments. Nothing behind the last error in the list was looked at. */
function readArray(body: Uint8Array, list: IncrementList): Refusal | null {
  const errors: IncrementProblem[] = []
  const scanner = new JsonScanner(list)
  scanner.begin(skipSpace(body, markEnd(body)), body.length)
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
