import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { incrementsIn } from '../../test/kit/increments.ts'
import { IncrementList } from './increment-list.ts'
import { readJson, readNdjson } from './json.ts'

/** All increments, or the refusal. */
function readBytes(read: typeof readJson, body: Buffer) {
  const list = new IncrementList()
  const bytes = new Uint8Array(body)
  const refusal = read(bytes, list)
  expect(Buffer.from(bytes).equals(body), 'the body stays as it is').toBe(true)
  return refusal ?? { increments: incrementsIn(list) }
}
type Read = ReturnType<typeof readBytes>
const json = (text: string) => readBytes(readJson, Buffer.from(text))
const ndjson = (text: string) => readBytes(readNdjson, Buffer.from(text))
const code = (read: Read) => ('code' in read ? read.code : 'accepted')
const foo = { key: 'foo', value: 5 }

describe('one object', () => {
  test.each([
    ['{"key":"foo","value":5}', foo],
    [' { "value" : 5 , "key" : "foo" } \r\n', foo],
    ['{"key":"foo","value":5,"other":{"a":[1,-2.5e+3,null,true,false,"\\u00e9"]},"more":[]}', foo],
    ['{"k\\u0065y":"foo","value":5}', foo],
    ['{"key":"a\\"b\\\\c\\/d","value":0}', { key: 'a"b\\c/d', value: 0 }],
    ['{"key":"é\\u00e9\\ud83d\\ude00","value":-1}', { key: 'éé😀', value: -1 }],
    ['{"key":"__proto__","value":-9007199254740991}', { key: '__proto__', value: -9007199254740991 }],
    ['{"key":"foo","value":"5"}', foo],
    ['{"key":"foo","value":"+05"}', foo],
    ['{"key":"foo","value":"\\u0035"}', foo],
    ['{"key":"foo","value":5.0}', foo],
    ['{"key":"foo","value":5.000}', foo],
    ['{"key":"a","value":-0.0}', { key: 'a', value: 0 }],
    ['{"key":"a","value":-9007199254740991.0}', { key: 'a', value: -9007199254740991 }],
    ['\uFEFF{"key":"foo","value":5}', foo],
  ])('%s is read', (text, increment) => {
    expect(json(text)).toEqual({ increments: [increment] })
  })

  test.each([
    ['', 'json_malformed'],
    ['null', 'increment_not_object'],
    ['5', 'increment_not_object'],
    ['"key"', 'increment_not_object'],
    ['{}', 'key_missing'],
    ['{"value":5}', 'key_missing'],
    ['{"key":"","value":5}', 'key_missing'],
    ['{"key":"foo"}', 'value_missing'],
    ['{"key":5,"value":5}', 'key_not_text'],
    ['{"key":null,"value":5}', 'key_not_text'],
    ['{"key":"\\ud800","value":5}', 'key_not_utf8'],
    ['{"key":"a\\nb","value":5}', 'key_control_character'],
    ['{"key":"a\\u0000","value":5}', 'key_control_character'],
    [`{"key":"${'é'.repeat(257)}","value":5}`, 'key_too_long'],
    ['{"key":"foo","value":""}', 'value_missing'],
    ['{"key":"foo","value":"x"}', 'value_not_integer'],
    ['{"key":"foo","value":" 5"}', 'value_not_integer'],
    ['{"key":"foo","value":"5.0"}', 'value_not_integer'],
    ['{"key":"foo","value":"1e3"}', 'value_not_integer'],
    ['{"key":"foo","value":"\\ud800"}', 'value_not_integer'],
    ['{"key":"foo","value":"9007199254740992"}', 'value_out_of_range'],
    ['{"key":"foo","value":9007199254740992.0}', 'value_out_of_range'],
    ['{"key":"foo","value":null}', 'value_not_integer'],
    ['{"key":"foo","value":5.01}', 'value_not_integer'],
    ['{"key":"foo","value":5.0e0}', 'value_not_integer'],
    ['{"key":"foo","value":5e0}', 'value_not_integer'],
    ['{"key":"foo","value":9007199254740991.4}', 'value_not_integer'],
    ['{"key":"foo","value":1e-400}', 'value_not_integer'],
    ['{"key":"foo","value":9007199254740992}', 'value_out_of_range'],
    ['{"key":"foo","value":1,"value":1}', 'field_repeated'],
    ['{"key":"foo","k\\u0065y":"foo","value":1}', 'field_repeated'],
    ['{"key":"foo","value":05}', 'json_malformed'],
    ['{"key":"foo","value":+5}', 'json_malformed'],
    ['{"key":"foo","value":-}', 'json_malformed'],
    ['{"key":"foo","value":5.}', 'json_malformed'],
    ['{"key":"foo","value":5,}', 'json_malformed'],
    ['{"key":"foo" "value":5}', 'json_malformed'],
    ['{"key":"foo","value":5} x', 'json_malformed'],
    ['{"key":"foo","value":5', 'json_malformed'],
    ['{"key":"fo\no","value":5}', 'json_malformed'],
    ['{"key":"\\x","value":5}', 'json_malformed'],
    ["{'key':'foo','value':5}", 'json_malformed'],
    ['{"key":"foo","value":NaN}', 'json_malformed'],
    ['\uFEFF', 'json_malformed'],
    ['\uFEFF\uFEFF{"key":"foo","value":5}', 'json_malformed'],
    [' \uFEFF{"key":"foo","value":5}', 'json_malformed'],
    [`{"a":${'['.repeat(100_000)}`, 'json_malformed'],
    [`{"a":${'['.repeat(65)}${']'.repeat(65)},"key":"foo","value":5}`, 'json_malformed'],
  ])('%s is refused as %s', (text, expected) => {
    expect(code(json(text))).toBe(expected)
  })

  test('bytes that are no UTF-8 are refused, escapes beside them or not', () => {
    for (const key of ['\xff', '\\u0041\xff', '\xc3', 'a\xed\xa0\x80'])
      expect(code(readBytes(readJson, Buffer.from(`{"key":"${key}","value":1}`, 'latin1')))).toBe(
        'key_not_utf8',
      )
  })
})

describe('an array', () => {
  test('is read whole', () => {
    expect(json('[{"key":"foo","value":5} , {"key":"bar","value":-1}]')).toEqual({
      increments: [foo, { key: 'bar', value: -1 }],
    })
    expect(json(' [ ] ')).toEqual({ increments: [] })
  })

  test('is refused with the index of each unfit increment', () => {
    const read = json('[{"key":"foo","value":5},{"key":"","value":5},7,{"key":"a","value":1.5}]')
    expect(read).toEqual({
      code: 'increments_refused',
      errors: [
        { at: { index: 1 }, code: 'key_missing' },
        { at: { index: 2 }, code: 'increment_not_object' },
        { at: { index: 3 }, code: 'value_not_integer' },
      ],
    })
  })

  test.each([
    ['[{"key":"foo","value":5}', 1],
    ['[{"key":"foo","value":5},]', 1],
    ['[{"key":"foo","value":5} {"key":"foo","value":5}]', 1],
    ['[{"key":"foo","value":5}] x', 1],
    ['[,]', 0],
    ['[', 0],
  ])('%s is malformed, and says from which index on', (text, index) => {
    expect(json(text)).toEqual({
      code: 'json_malformed',
      errors: [{ at: { index }, code: 'json_malformed' }],
    })
  })
})

describe('NDJSON', () => {
  test('is read line by line, empty lines and a missing last line break do not matter', () => {
    expect(ndjson('{"key":"foo","value":5}\r\n\n  \n{"key":"bar","value":1}')).toEqual({
      increments: [foo, { key: 'bar', value: 1 }],
    })
    expect(ndjson('')).toEqual({ increments: [] })
  })

  test('is refused with the number of each unfit line, malformed ones among them', () => {
    expect(ndjson('{"key":"foo","value":5}\n{"key":\n\n{"value":1}\n{"key":"a","value":1} x\n[]\n')).toEqual({
      code: 'increments_refused',
      errors: [
        { at: { line: 2 }, code: 'json_malformed' },
        { at: { line: 4 }, code: 'key_missing' },
        { at: { line: 5, object: 2 }, code: 'json_malformed' },
        { at: { line: 6 }, code: 'increment_not_object' },
      ],
    })
  })
})

describe('several objects', () => {
  const one = '{"key":"foo","value":5}'
  const pretty = JSON.stringify(foo, null, 2)

  test.each([
    ['nothing', one.repeat(3)],
    ['white space', `${one} \t${one}\r\n\n${one}`],
    ['a byte-order mark before them', `\uFEFF${one}\n${one}${one}`],
    ['lines inside them', `${pretty}${pretty}\n${one}`],
  ])('are read with %s between them, whatever the content type', (_between, text) => {
    for (const read of [json, ndjson]) expect(read(text)).toEqual({ increments: [foo, foo, foo] })
  })

  test('in an array are read, whatever the content type', () => {
    for (const read of [json, ndjson])
      expect(read(`\uFEFF\n[${one},\n${one}]\n`)).toEqual({ increments: [foo, foo] })
    expect(ndjson(`[${one},{}]`)).toEqual(json(`[${one},{}]`))
  })

  test('are refused with the line in which each unfit one begins, and which of that line it is', () => {
    const text = `${one}{}\n${pretty.replace('5', '1.5')}{"key":""}{}${one}{}`
    const expected = {
      code: 'increments_refused',
      errors: [
        { at: { line: 1, object: 2 }, code: 'key_missing' },
        { at: { line: 2 }, code: 'value_not_integer' },
        { at: { line: 5 }, code: 'key_missing' },
        { at: { line: 5, object: 2 }, code: 'key_missing' },
        { at: { line: 5, object: 4 }, code: 'key_missing' },
      ],
    }
    for (const read of [json, ndjson]) expect(read(text)).toEqual(expected)
  })

  test('of JSON are read up to the first that is none, of NDJSON line by line behind it', () => {
    const text = `${one}\n{"key":"a",\n"value":\n}\n{}\n${one}`
    const broken = { at: { line: 2 }, code: 'json_malformed' }
    expect(json(text)).toEqual({ code: 'json_malformed', errors: [broken] })
    const empty = { at: { line: 5 }, code: 'key_missing' }
    expect(ndjson(text)).toEqual({ code: 'increments_refused', errors: [broken, empty] })
  })
})

const anyKey = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 100 })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  .filter(key => !/[\u0000-\u001f\u007f]/.test(key) && Buffer.byteLength(key) <= 512)
const anyIncrement = fc.record({ key: anyKey, value: fc.maxSafeInteger() })

test('whatever JSON.stringify writes is read back', () => {
  fc.assert(
    fc.property(fc.array(anyIncrement), increments => {
      expect(json(JSON.stringify(increments))).toEqual({ increments })
      expect(json(JSON.stringify(increments, null, 2))).toEqual({ increments })
      expect(ndjson(increments.map(each => JSON.stringify(each)).join('\n'))).toEqual({ increments })
    }),
  )
})

test('what is accepted is what JSON.parse would have accepted', () => {
  const valid = JSON.stringify([
    { key: 'a\n"é', value: -12 },
    { other: [1.5, { x: null }], key: 'b', value: 0 },
  ])
  const mutation = fc.record({
    at: fc.nat(valid.length),
    remove: fc.nat(3),
    insert: fc.string({ maxLength: 2 }),
  })
  fc.assert(
    fc.property(mutation, ({ at, remove, insert }) => {
      const text = valid.slice(0, at) + insert + valid.slice(at + remove)
      const read = json(text)
      if ('increments' in read) expect(() => JSON.parse(text)).not.toThrow()
      else if (read.code === 'json_malformed') expect(() => JSON.parse(text)).toThrow()
    }),
    { numRuns: 5_000 },
  )
})
