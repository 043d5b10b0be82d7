import { expect, test } from 'vitest'
import { readForm } from './form.ts'
import { keyedRequest } from '../count/idempotency-key.ts'
import { IncrementList } from './increment-list.ts'
import { readJson, readNdjson } from './json.ts'

// A request holds up all others while it is read: no body may take much longer than another of its length.
// Before there was a bound, some of these took a hundred times as long as good lines.

const bodyBytes = 4 * 1024 * 1024
/** To read good lines takes the least of all: this is some four times what the slowest of these takes. */
const factorMax = 25
const goodLine = '{"key":"foo","value":1}\n'
const list = new IncrementList()

type Read = (body: Uint8Array) => unknown
const ndjson: Read = body => readNdjson(body, list)
const json: Read = body => readJson(body, list)
const form: Read = body => readForm(body, '', list)
const besideQuery: Read = body => readForm(body, 'key=a&value=1', list)

function repeated(piece: string, before = '', behind = ''): Uint8Array {
  const middle = Buffer.from(piece)
  const count = Math.floor(bodyBytes / middle.length)
  return new Uint8Array(
    Buffer.concat([Buffer.from(before), Buffer.alloc(count * middle.length, middle), Buffer.from(behind)]),
  )
}

function inArray(piece: string): Uint8Array {
  return repeated(`${piece},`, '[', `${piece}]`)
}

/** Repeats the piece in a member that is not ours. */
function inMember(piece: string): Uint8Array {
  return repeated(`${piece},`, '{"key":"a","value":1,"x":[', '1]}')
}

/** Returns the CPU time that this process spends on `work`, whatever else the machine does. */
function cpuMs(work: () => unknown): number {
  const before = process.cpuUsage().user
  work()
  return (process.cpuUsage().user - before) / 1_000
}

const slow: [name: string, read: Read, body: Uint8Array][] = [
  ['lines that are no JSON', ndjson, repeated('x\n')],
  ['empty lines', ndjson, repeated('\n')],
  ['blank lines', ndjson, repeated(' \n')],
  ['lines of a number', ndjson, repeated('1\n')],
  ['lines of nothing', ndjson, repeated('{}\n')],
  ['good lines with something behind', ndjson, repeated('{"key":"a","value":1}x\n')],
  ['good lines with a space behind', ndjson, repeated('{"key":"a","value":1} \n')],
  ['objects behind each other', ndjson, repeated('{"key":"a","value":1}')],
  ['unfit objects behind good ones', ndjson, repeated('{"key":"a","value":1}', '', '{}'.repeat(99))],
  ['objects over several lines', ndjson, repeated('{\n"key":"a",\n"value":1\n}\n')],
  ['an object over all lines', ndjson, repeated('1,\n', '{"a":[')],
  ['objects in each other over all lines', ndjson, repeated('1,\n', '{"a":[\n'.repeat(32))],
  ['an object over blank lines', ndjson, repeated('\n', '{"a":[\n'.repeat(32))],
  ['lines that open an object in an object', ndjson, repeated('{"a":\n')],
  ['lines that may be part of an object', ndjson, repeated('{},\n', '{"a":[\n'.repeat(31))],
  ['values in quotes', ndjson, repeated('{"key":"a","value":"1"}\n')],
  ['escaped values', ndjson, repeated('{"key":"a","value":"\\u0031"}\n')],
  ['values with a fraction', ndjson, repeated('{"key":"a","value":1.0}\n')],
  ['a long fraction', json, repeated('0', '{"key":"a","value":1.', '}')],
  ['a long escaped value', json, repeated('\\u0030', '{"key":"a","value":"', '"}')],
  ['escaped keys', ndjson, repeated('{"key":"\\u0061","value":1}\n')],
  ['escaped names', ndjson, repeated('{"\\u006bey":"a","value":1}\n')],
  ['keys that are not ASCII', ndjson, repeated('{"key":"é","value":1}\n')],
  ['unfit items', json, inArray('{}')],
  ['items that are no increments', json, inArray('1')],
  ['items with escaped keys', json, inArray('{"key":"\\u0061","value":1}')],
  ['nesting', json, inMember('['.repeat(60) + ']'.repeat(60))],
  ['words', json, inMember('null')],
  ['empty strings', json, inMember('""')],
  ['escapes', json, inMember('"\\n"')],
  ['small objects', json, inMember('{"":1}')],
  ['members', json, repeated(',"a":1', '{"key":"a","value":1', '}')],
  ['members with escaped names', json, repeated(',"\\n":1', '{"key":"a","value":1', '}')],
  ['a key again and again', json, repeated(',"key":"\\n"', '{"value":1', '}')],
  ['a value again and again', json, repeated(',"value":1', '{"key":"a"', '}')],
  ['a long key', json, repeated('a', '{"key":"', '","value":1}')],
  ['a long escaped key', json, repeated('\\n', '{"key":"', '","value":1}')],
  ['a long number', json, repeated('9', '{"key":"a","value":', '}')],
  ['a form of white space', form, repeated(' ')],
  ['a form of no fields', form, repeated('&')],
  ['a form of percent signs', form, repeated('%&')],
  ['a form of small fields', form, repeated('a=1&')],
  ['a form of encoded fields', form, repeated('%6bey%20=1&')],
  ['a form with a long key', form, repeated('%', 'key=', '&value=1')],
  ['a form with a long value', form, repeated('9', 'key=a&value=')],
  ['fields beside a query', besideQuery, repeated('a=1&')],
  ['equals signs beside a query', besideQuery, repeated('a=', '', '\x00')],
  ['no fields beside a query', besideQuery, repeated('&', '', '\x00')],
]

test.each(slow)('%s take no more time than other bodies', (_name, read, body) => {
  const good = repeated(goodLine)
  ndjson(good)
  const limitMs = factorMax * cpuMs(() => ndjson(good))
  expect(cpuMs(() => read(body))).toBeLessThan(limitMs)
})

test('the fingerprint of many increments takes a small multiple of the time that reading them takes', () => {
  const good = repeated(goodLine)
  ndjson(good)
  const limitMs = 3 * factorMax * cpuMs(() => ndjson(good))
  expect(cpuMs(() => keyedRequest('key', list))).toBeLessThan(limitMs)
})
