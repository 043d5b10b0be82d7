import { isUtf8 } from 'node:buffer'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Increment, incrementsIn } from '../../test/kit/increments.ts'
import { IncrementList } from './increment-list.ts'
import { readJson, readNdjson } from './json.ts'
import type { ProblemCode } from './problems.ts'

// The reader is compared with JSON.parse, which says what is JSON at all, and with a list of tokens, made
// without any care for speed, which says what is there literally. Texts are Latin-1, a character for each
// byte.

const tokenPattern = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s"[\]{},:]+/gs

const strictToken = new RegExp(
  [
    /([{}[\],:])/,
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is no JSON
    /("(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")/,
    /(true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'y',
)

/** The end of the value that begins at `start`, or where it stops being one. */
function valueAt(text: string, start: number): { end: number } | { brokenAt: number } {
  const open: string[] = []
  let wanted = 'value'
  for (let end = start; ; end = strictToken.lastIndex) {
    strictToken.lastIndex = skipped(text, end)
    const at = strictToken.lastIndex
    const [, mark = '', string, scalar = string] = strictToken.exec(text) ?? []
    const rest = text.slice(strictToken.lastIndex)
    const isHalf =
      (/^-?\d+$/.test(scalar ?? '') && rest.startsWith('.')) ||
      (/^-?\d+(\.\d+)?$/.test(scalar ?? '') && /^e/i.test(rest))
    const isValue = scalar !== undefined && !isHalf && wanted.startsWith('value')
    const isEnd = mark !== '' && '}]'.includes(mark) && wanted.endsWith(mark)
    if (isEnd) open.pop()
    if (isEnd || isValue) wanted = `,${open.at(-1)}`
    else if (string !== undefined && wanted.startsWith('name')) wanted = ':'
    else if (mark === ':' && wanted === ':') wanted = 'value'
    else if (mark === ',' && wanted.startsWith(',')) wanted = open.at(-1) === ']' ? 'value' : 'name'
    else if ('{['.includes(mark) && mark !== '' && wanted.startsWith('value')) {
      open.push(mark === '{' ? '}' : ']')
      wanted = mark === '{' ? 'name}' : 'value]'
    } else return { brokenAt: at }
    if (open.length === 0) return { end: strictToken.lastIndex }
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function skipped(text: string, start: number): number {
  return start + /^[ \t\r\n]*/.exec(text.slice(start))![0].length
}

function expectedOfValue(body: string): Increment | ProblemCode {
  const tokens = body.match(tokenPattern)!
  if (tokens[0] !== '{') return 'increment_not_object'
  const members = parts(tokens).map(([name, , ...value]) => [JSON.parse(name!), value] as const)
  const [key, ...moreKeys] = members.filter(([name]) => name === 'key').map(([, value]) => value)
  const [value, ...moreValues] = members.filter(([name]) => name === 'value').map(([, each]) => each)
  if (moreKeys.length > 0 || moreValues.length > 0) return 'field_repeated'
  if (key === undefined) return 'key_missing'
  const readKey = expectedKey(key[0]!)
  if (!Array.isArray(readKey)) return readKey
  if (value === undefined) return 'value_missing'
  const text = value[0]!.startsWith('"') ? String(JSON.parse(value[0]!)) : value[0]!.replace(/\.0+$/, '')
  if (text === '') return 'value_missing'
  const literal = text.replace(/^\+/, '')
  if (!/^-?[0-9]+$/.test(literal) || /^\+-/.test(text)) return 'value_not_integer'
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

/** Returns what is between the commas of an object or an array that consists of `tokens`. */
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

interface Item {
  readonly at: object
  readonly read: Increment | ProblemCode
}

function expectedOfAll(items: readonly Item[]) {
  const errors = items.flatMap(({ at, read }) => (typeof read === 'string' ? [{ at, code: read }] : []))
  if (errors.length > 0) return { code: 'increments_refused', errors: errors.slice(0, 100) }
  return { increments: items.map(({ read }) => read) }
}

/** Objects one behind the other; what is broken goes as far as `valueAt` says, and to the end of its line. */
function expectedItems(text: string): Item[] {
  const items: Item[] = []
  let brokenAt = -1
  const lineOf = (position: number) => text.slice(0, position).split('\n').length
  const lineEnd = (position: number) => `${text}\n`.indexOf('\n', position)
  let [line, object] = [0, 0]
  for (let start = skipped(text, 0); start < text.length; ) {
    object = lineOf(start) === line ? object + 1 : 1
    line = lineOf(start)
    const at = object > 1 ? { line, object } : { line }
    const given = start < brokenAt ? text.slice(0, lineEnd(start)) : text
    const value = valueAt(given, start)
    if ('end' in value) {
      items.push({ at, read: expectedOfValue(text.slice(start, value.end)) })
      start = skipped(text, value.end)
      continue
    }
    items.push({ at, read: 'json_malformed' })
    brokenAt = Math.max(brokenAt, value.brokenAt)
    do start = skipped(text, lineEnd(start))
    while (start <= brokenAt && start < text.length && text[start] !== '{')
  }
  return items
}

function withoutMark(body: Buffer): string {
  return body.toString('latin1').replace(/^\xef\xbb\xbf/, '')
}

function expectedOfArray(text: string) {
  if (!isJson(text)) return { code: 'json_malformed' }
  const texts = parts(text.match(tokenPattern)!).map(part => part.join(' '))
  return expectedOfAll(texts.map((each, index) => ({ at: { index }, read: expectedOfValue(each) })))
}

function expectedOfNdjson(body: Buffer) {
  const text = withoutMark(body)
  return /^[ \t\r\n]*\[/.test(text) ? expectedOfArray(text) : expectedOfAll(expectedItems(text))
}

/** `code` alone for what is refused as a whole. */
function expectedOfJson(body: Buffer) {
  const text = withoutMark(body)
  if (/^[ \t\r\n]*\[/.test(text)) return expectedOfArray(text)
  const items = expectedItems(text)
  const brokenIndex = items.findIndex(({ read }) => read === 'json_malformed')
  if (brokenIndex > 0) {
    const { errors = [] } = expectedOfAll(items.slice(0, brokenIndex + 1))
    return { code: 'json_malformed', errors }
  }
  const [first] = items
  if (first === undefined || brokenIndex === 0) return { code: 'json_malformed', errors: [] }
  return items.length === 1 && typeof first.read === 'string'
    ? { code: first.read, errors: [] }
    : expectedOfAll(items)
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
  fc.constantFrom(
    '0',
    '-0',
    '00',
    '-',
    '+1',
    '01',
    '-01',
    '1.0',
    '-5.000',
    '1.50',
    '1e0',
    '1.0e0',
    '1E2',
    '.5',
    '5.',
  ),
  fc.constantFrom('999999999999999', '9007199254740991', '9007199254740992', '-9007199254740992'),
  fc.constantFrom(
    '""',
    '"5"',
    '"+5"',
    '"-07"',
    '"\\u0035"',
    '"5.0"',
    '" 5"',
    '"+-5"',
    '"9007199254740992"',
    '"x"',
  ),
  fc.constantFrom('null', 'true', '[]', '{"value":1}', '1234567890123456', '99999999999999999999'),
)
/** A byte-order mark, or half of two. */
const mark = fc.constantFrom('', '', '', '\uFEFF', '\uFEFF\uFEFF')
const space = fc.constantFrom('', '', '', ' ', '  ', '\t', '\n', '\r\n  ')
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
    fc.property(mark, lines, mutations, (before, given, changes) => {
      const body = spoilt(before + given.flat().join(''), changes)
      expect(actual(readNdjson, body)).toMatchObject(expectedOfNdjson(body))
    }),
    { numRuns: 5_000 },
  )
})

test('JSON, one, several or an array, is read as JSON.parse and a look at the literals say, spoilt or not', () => {
  const separator = fc.constantFrom(',', ', ', ' ,\n', ',')
  const array = fc
    .tuple(fc.array(item, { maxLength: 8 }), separator, space)
    .map(([items, comma, gap]) => `${gap}[${gap}${items.join(comma)}${gap}]${gap}`)
  const objects = fc
    .array(fc.tuple(item, fc.constantFrom('', ' ', '\n')), { maxLength: 8 })
    .map(all => all.flat().join(''))
  fc.assert(
    fc.property(mark, fc.oneof(array, item, objects), mutations, (before, text, changes) => {
      const body = spoilt(before + text, changes)
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
