import { isUtf8 } from 'node:buffer'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Increment, incrementsIn } from '../../test/increments.ts'
import { IncrementList } from './increment-list.ts'
import { readJson, readNdjson } from './json.ts'
import type { ProblemCode } from './problems.ts'

// What the reader is compared with: JSON.parse says what is JSON at all, and a list of tokens, made without
// any care for speed, what stands there literally. Texts are Latin-1, a character for each byte.

const tokenPattern = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s"[\]{},:]+/gs

/** Null for an empty line. */
function expectedOfLine(line: string): Increment | ProblemCode | null {
  if (/^[ \t\r]*$/.test(line)) return null
  return isJson(line) ? expectedOfValue(line) : 'json_malformed'
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function expectedOfValue(text: string): Increment | ProblemCode {
  const tokens = text.match(tokenPattern)!
  if (tokens[0] !== '{') return 'increment_not_object'
  const members = parts(tokens).map(([name, , ...value]) => [JSON.parse(name!), value] as const)
  const [key, ...moreKeys] = members.filter(([name]) => name === 'key').map(([, value]) => value)
  const [value, ...moreValues] = members.filter(([name]) => name === 'value').map(([, each]) => each)
  if (moreKeys.length > 0 || moreValues.length > 0) return 'field_repeated'
  if (key === undefined) return 'key_missing'
  const readKey = expectedKey(key[0]!)
  if (!Array.isArray(readKey)) return readKey
  if (value === undefined) return 'value_missing'
  const literal = value[0]!
  if (!/^-?[0-9]+$/.test(literal)) return 'value_not_integer'
  if (!Number.isSafeInteger(Number(BigInt(literal)))) return 'value_out_of_range'
  return { key: readKey[0]!, value: Number(BigInt(literal)) }
}

function expectedKey(literal: string): [string] | ProblemCode {
  if (!literal.startsWith('"')) return 'key_not_text'
  let bytes = Buffer.from(literal.slice(1, -1), 'latin1')
  if (literal.includes('\\')) {
    const text: string = JSON.parse(`"${bytes.toString()}"`)
    if (!isUtf8(bytes) || !text.isWellFormed()) return 'key_not_utf8'
    bytes = Buffer.from(text)
  }
  if (bytes.length === 0) return 'key_missing'
  if (bytes.length > 512) return 'key_too_long'
  if (bytes.some(byte => byte < 0x20 || byte === 0x7f)) return 'key_control_character'
  return isUtf8(bytes) ? [bytes.toString()] : 'key_not_utf8'
}

/** What stands between the commas of an object or an array that `tokens` are. */
function parts(tokens: readonly string[]): string[][] {
  const all: string[][] = [[]]
  let depth = 0
  for (const token of tokens.slice(1, -1)) {
    if (token === '{' || token === '[') depth++
    if (token === '}' || token === ']') depth--
    if (depth === 0 && token === ',') all.push([])
    else all.at(-1)!.push(token)
  }
  return all[0]!.length === 0 ? [] : all
}

function expectedOfAll(items: readonly (Increment | ProblemCode | null)[], at: 'line' | 'index') {
  const first = at === 'line' ? 1 : 0
  const errors = items.flatMap((item, index) =>
    typeof item === 'string' ? [{ at: { [at]: index + first }, code: item }] : [],
  )
  if (errors.length > 0) return { code: 'increments_refused', errors: errors.slice(0, 100) }
  return { increments: items.filter(item => item !== null) }
}

function expectedOfNdjson(body: Buffer) {
  return expectedOfAll(body.toString('latin1').split('\n').map(expectedOfLine), 'line')
}

/** `code` alone for what is refused as a whole. */
function expectedOfJson(body: Buffer) {
  const text = body.toString('latin1')
  if (!isJson(text)) return { code: 'json_malformed' }
  const tokens = text.match(tokenPattern)!
  if (tokens[0] === '[')
    return expectedOfAll(
      parts(tokens).map(part => expectedOfValue(part.join(' '))),
      'index',
    )
  const one = expectedOfValue(text)
  return typeof one === 'string' ? { code: one, errors: [] } : { increments: [one] }
}

const list = new IncrementList()
function actual(read: typeof readJson, body: Buffer) {
  return read(new Uint8Array(body), list) ?? { increments: incrementsIn(list) }
}

const usualKey = fc.stringMatching(/^[ -~]{1,20}$/).filter(key => !/["\\]/.test(key))
const integer = fc.oneof({ weight: 3, arbitrary: fc.integer() }, fc.maxSafeInteger()).map(String)
const keyLiteral = fc.oneof(
  { weight: 3, arbitrary: usualKey.map(key => `"${key}"`) },
  fc.string({ unit: 'binary', maxLength: 20 }).map(key => JSON.stringify(key)),
  fc.constantFrom('""', '"\\u0041"', '"\\ud83d\\ude00"', '"\\ud800"', '"a\\nb"', '5', 'null', '["a"]'),
  fc.constantFrom(511, 512, 513).map(length => `"${'x'.repeat(length)}"`),
)
const valueLiteral = fc.oneof(
  { weight: 3, arbitrary: integer },
  fc.constantFrom('0', '-0', '00', '-', '+1', '01', '-01', '1.0', '1e0', '1E2', '.5', '5.', '""', '"5"'),
  fc.constantFrom('999999999999999', '9007199254740991', '9007199254740992', '-9007199254740992'),
  fc.constantFrom('null', 'true', '[]', '{"value":1}', '1234567890123456', '99999999999999999999'),
)
const space = fc.constantFrom('', '', '', ' ', '  ', '\t')
const member = fc.oneof(
  fc.tuple(fc.constantFrom('"key"', '"k\\u0065y"'), keyLiteral),
  fc.tuple(fc.constantFrom('"value"', '"valu\\u0065"'), valueLiteral),
  fc.tuple(fc.constantFrom('"other"', '""', '"Key"'), fc.json({ maxDepth: 2 })),
)
const anyObject = fc
  .tuple(fc.array(member, { maxLength: 4 }), space)
  .map(([members, gap]) => `{${members.map(each => each.join(`${gap}:${gap}`)).join(`${gap},${gap}`)}}`)
const usualObject = fc
  .tuple(usualKey, integer, fc.constantFrom('', ' '))
  .map(([key, value, gap]) => `{"key":${gap}"${key}",${gap}"value":${gap}${value}}`)
const item = fc.oneof(
  { weight: 4, arbitrary: usualObject },
  fc.tuple(keyLiteral, valueLiteral).map(([key, value]) => `{"key":${key},"value":${value}}`),
  anyObject,
  fc.json({ maxDepth: 1 }),
)
const mutation = fc.record({
  at: fc.nat(),
  remove: fc.nat(2),
  insert: fc.array(fc.constantFrom(...'"\\{}[],:\n\r\t \0\x1f\x7f\x80\xc3\xa9\xff0159-+.eu'), {
    maxLength: 2,
  }),
})
const mutations = fc.oneof(fc.constant([]), fc.array(mutation, { minLength: 1, maxLength: 3 }))

/** The text in bytes, spoilt. */
function spoilt(text: string, changes: readonly { at: number; remove: number; insert: string[] }[]): Buffer {
  let latin1 = Buffer.from(text).toString('latin1')
  for (const { at, remove, insert } of changes) {
    const position = at % (latin1.length + 1)
    latin1 = latin1.slice(0, position) + insert.join('') + latin1.slice(position + remove)
  }
  return Buffer.from(latin1, 'latin1')
}

test('NDJSON is read as JSON.parse and a look at the literals say, spoilt or not', () => {
  const lineEnd = fc.constantFrom('\n', '\n', '\r\n', '\n\n', ' \n', '')
  const lines = fc.array(fc.tuple(fc.oneof(item, fc.constant('')), lineEnd), { maxLength: 8 })
  fc.assert(
    fc.property(lines, mutations, (given, changes) => {
      const body = spoilt(given.flat().join(''), changes)
      expect(actual(readNdjson, body)).toEqual(expectedOfNdjson(body))
    }),
    { numRuns: 5_000 },
  )
})

test('JSON, one or an array, is read as JSON.parse and a look at the literals say, spoilt or not', () => {
  const separator = fc.constantFrom(',', ', ', ' ,\n', ',')
  const array = fc
    .tuple(fc.array(item, { maxLength: 8 }), separator, space)
    .map(([items, comma, gap]) => `${gap}[${gap}${items.join(comma)}${gap}]${gap}`)
  fc.assert(
    fc.property(fc.oneof(array, item), mutations, (text, changes) => {
      const body = spoilt(text, changes)
      expect(actual(readJson, body)).toMatchObject(expectedOfJson(body))
    }),
    { numRuns: 5_000 },
  )
})

test('only the first hundred errors are kept, and of an array that breaks off the place where it does', () => {
  const unfit = Array<string>(150).fill('{"key":"a"}')
  const lines = actual(readNdjson, Buffer.from(unfit.join('\n')))
  expect(lines).toEqual(expectedOfNdjson(Buffer.from(unfit.join('\n'))))
  const missing = Array.from({ length: 100 }, (_, index) => ({ at: { index }, code: 'value_missing' }))
  const array = actual(readJson, Buffer.from(`[${unfit.join()}`))
  expect(array).toEqual({ code: 'increments_refused', errors: missing })
  const shorter = actual(readJson, Buffer.from(`[${unfit.slice(0, 99).join()}`))
  const errors = [...missing.slice(0, 99), { at: { index: 99 }, code: 'json_malformed' }]
  expect(shorter).toEqual({ code: 'json_malformed', errors })
})
