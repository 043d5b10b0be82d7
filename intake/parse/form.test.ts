import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { incrementsIn } from '../../test/kit/increments.ts'
import { readForm } from './form.ts'
import { IncrementList } from './increment-list.ts'

/** The increment, or why there is none. */
function readBytes(body: Buffer, query = '') {
  const list = new IncrementList()
  const code = readForm(new Uint8Array(body), query, list)
  if (code !== null) return code
  expect(list.length).toBe(1)
  return incrementsIn(list)[0]!
}
const read = (body: string, query = '') => readBytes(Buffer.from(body, 'latin1'), query)

describe('keys', () => {
  test.each([
    ['key=foo&value=5', 'foo'],
    ['value=5&key=foo', 'foo'],
    ['key=a+b&value=5', 'a b'],
    ['key=a%20b&value=5', 'a b'],
    ['key=a%2Bb&value=5', 'a+b'],
    ['key=%C3%A9&value=5', 'é'],
    ['key=%c3%a9&value=5', 'é'],
    ['key=\xc3\xa9&value=5', 'é'],
    ['key=%F0%9F%98%80&value=5', '😀'],
    ['key=a=b&value=5', 'a=b'],
    ['key=a%26b&value=5', 'a&b'],
    ['key=100%&value=5', '100%'],
    ['key=%zz%4&value=5', '%zz%4'],
    ['key=%EF%BB%BFfoo&value=5', '\uFEFFfoo'],
    ['key=__proto__&value=5', '__proto__'],
    ['%6Bey=foo&v%61lue=5', 'foo'],
    ['other=1&key=foo&value=5&more', 'foo'],
    ['&&key=foo&&value=5&', 'foo'],
    [`key=${'x'.repeat(512)}&value=5`, 'x'.repeat(512)],
    [`key=${'%C3%A9'.repeat(256)}&value=5`, 'é'.repeat(256)],
  ])('%s', (body, key) => {
    expect(read(body)).toEqual({ key, value: 5 })
  })

  test.each([
    ['', 'key_missing'],
    ['value=5', 'key_missing'],
    ['key=&value=5', 'key_missing'],
    ['key&value=5', 'key_missing'],
    ['Key=foo&value=5', 'key_missing'],
    ['key=%FF&value=5', 'key_not_utf8'],
    ['key=\xff&value=5', 'key_not_utf8'],
    ['key=%C3&value=5', 'key_not_utf8'],
    ['key=%ED%A0%80&value=5', 'key_not_utf8'],
    ['key=%C0%AF&value=5', 'key_not_utf8'],
    ['key=%00&value=5', 'key_control_character'],
    ['key=a%0Ab&value=5', 'key_control_character'],
    ['key=a\tb&value=5', 'key_control_character'],
    ['key=a%7F&value=5', 'key_control_character'],
    [`key=${'x'.repeat(513)}&value=5`, 'key_too_long'],
    [`key=${'%C3%A9'.repeat(257)}&value=5`, 'key_too_long'],
    ['key=foo&key=foo&value=5', 'field_repeated'],
    ['key=foo&value=5&value=5', 'field_repeated'],
    ['key=&key=foo&value=5', 'field_repeated'],
  ])('%s is refused as %s', (body, code) => {
    expect(read(body)).toBe(code)
  })
})

describe('values', () => {
  test.each([
    ['0', 0],
    ['-0', 0],
    ['+7', 7],
    ['%2B7', 7],
    ['%37', 7],
    ['-7', -7],
    ['%2D7', -7],
    ['007', 7],
    ['-00000000000000000000000000000000000007', -7],
    ['9007199254740991', 9007199254740991],
    ['-9007199254740991', -9007199254740991],
    ['0009007199254740991', 9007199254740991],
    ['1000000000000000', 1000000000000000],
    ['5\n', 5],
    ['5\r\n', 5],
  ])('%j is read', (text, value) => {
    expect(read(`key=foo&value=${text}`)).toEqual({ key: 'foo', value })
  })

  test.each([
    ['', 'value_missing'],
    ['-', 'value_not_integer'],
    ['+', 'value_not_integer'],
    ['%2B', 'value_not_integer'],
    ['--5', 'value_not_integer'],
    ['+%2B5', 'value_not_integer'],
    ['5+', 'value_not_integer'],
    ['5%20', 'value_not_integer'],
    ['5\n\n', 'value_not_integer'],
    ['5\r', 'value_not_integer'],
    ['1.0', 'value_not_integer'],
    ['1e3', 'value_not_integer'],
    ['0x10', 'value_not_integer'],
    ['１', 'value_not_integer'],
    ['five', 'value_not_integer'],
    ['99999999999999999999x', 'value_not_integer'],
    ['9007199254740992', 'value_out_of_range'],
    ['-9007199254740992', 'value_out_of_range'],
    ['9999999999999999', 'value_out_of_range'],
    ['10000000000000000', 'value_out_of_range'],
    ['99999999999999999999999999', 'value_out_of_range'],
  ])('%j is refused as %s', (text, code) => {
    expect(readBytes(Buffer.from(`key=foo&value=${text}`))).toBe(code)
  })

  test('a missing value is told apart from a missing key', () => {
    expect(read('key=foo')).toBe('value_missing')
    expect(read('key=foo&value')).toBe('value_missing')
  })

  test('every integer in range is read as itself, and no other text is', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 55n), max: 2n ** 55n }), integer => {
        const fits = integer >= -(2n ** 53n - 1n) && integer <= 2n ** 53n - 1n
        const expected = fits ? { key: 'k', value: Number(integer) } : 'value_out_of_range'
        expect(read(`key=k&value=${integer}`)).toEqual(expected)
      }),
    )
  })
})

describe('a byte-order mark', () => {
  test('before the body is skipped, once', () => {
    expect(readBytes(Buffer.from('\uFEFFkey=foo&value=5'))).toEqual({ key: 'foo', value: 5 })
    expect(readBytes(Buffer.from('\uFEFFvalue=5'), 'key=foo')).toEqual({ key: 'foo', value: 5 })
    expect(readBytes(Buffer.from('\uFEFF\uFEFFkey=foo&value=5'))).toBe('key_missing')
  })
})

describe('JSON that is called a form', () => {
  test.each([
    '{"key":"foo","value":5}',
    ' [ {"key":"foo","value":5}]',
    '{\n  "key": "foo"',
    '\uFEFF{"key":"foo","value":5}\n{"key":"foo","value":5}',
    '{"x":"&key=foo&value=5"}',
    '{"x":"&key=foo&value=5',
    '[]',
    '{}',
  ])('%j is refused as such, whatever the query says', body => {
    expect(readBytes(Buffer.from(body))).toBe('json_called_form')
    expect(readBytes(Buffer.from(body), 'key=foo&value=5')).toBe('json_called_form')
  })

  test('is no form with braces in it', () => {
    expect(read('key={"a":1}&value=5')).toEqual({ key: '{"a":1}', value: 5 })
    expect(read('{a}=1&key=foo&value=5')).toEqual({ key: 'foo', value: 5 })
    expect(read('[0]=1&key=foo&value=5')).toEqual({ key: 'foo', value: 5 })
  })
})

describe('a body beside fields in the query string', () => {
  const fields = 'key=foo&value=5'
  test.each(['["a"]', '[1]', ' "a"', '["key=foo"]', '{"a"', '{a}=1'])('%j is JSON', body => {
    expect(readBytes(Buffer.from(body), fields)).toBe('json_called_form')
  })

  test.each([
    ...[
      '5',
      'a',
      '=1',
      '&',
      '<key>foo</key>',
      '<a key="foo" value="5"/>',
      'key: foo',
      'x = 5',
      'cb({"a":"="})',
    ],
    ...['%7B%22key%22%3A%22foo%22%7D=', '%5B%22a%22%5D=', '%20%7B%7D=', '&{"key":"a=b"}', "'{a=1}'", '()=>5'],
    ...['\uFEFF\uFEFF{"a":"="}', '\u00a0{"a":"="}', '/*=*/{}', 'query($k:String="a")', 'a=\x00'],
  ])('%j is no form, and counts nothing', body => {
    expect(readBytes(Buffer.from(body), fields)).toBe('content_type_unknown')
  })

  test.each(['\x1f\x8b\x08=\x00', '\xff\xfe=1', 'a=\xff', '\x80=\x90'])(
    'the bytes %j are none, either',
    bytes => {
      expect(readBytes(Buffer.from(bytes, 'latin1'), fields)).toBe('content_type_unknown')
    },
  )

  test.each([
    ...['', ' ', '\r\n', 'a=1\n', 'a=1', '&a=1&&b=&', 'a=%00&b=\u00fc', '\uFEFFa=1', 'a=1&debug', 'a[0]=1'],
    ...['a%5B0%5D=1&b.c-d_e=2', '\u00fc=1', '%C3%BC=1', '%61=1', '$a:b=1'],
  ])('%j is a form, or blank', body => {
    expect(readBytes(Buffer.from(body), fields)).toEqual({ key: 'foo', value: 5 })
  })

  test('has to be one beside one field, too', () => {
    expect(readBytes(Buffer.from('debug&a=1&value=5'), 'key=foo')).toEqual({ key: 'foo', value: 5 })
    expect(readBytes(Buffer.from('a"=1&value=5'), 'key=foo')).toBe('content_type_unknown')
  })

  test('may be anything where neither field is there', () => {
    expect(readBytes(Buffer.from('debug&key=foo&value=5'), 'ack=memory')).toEqual({ key: 'foo', value: 5 })
  })
})

describe('the query string', () => {
  test('can hold both fields, or one of them', () => {
    expect(read('', 'key=foo&value=5')).toEqual({ key: 'foo', value: 5 })
    expect(read('value=5', 'key=foo')).toEqual({ key: 'foo', value: 5 })
    expect(read('key=a%20b&value=5', 'ack=memory')).toEqual({ key: 'a b', value: 5 })
  })

  test('does not override the body', () => {
    expect(read('key=foo&value=5', 'key=bar')).toBe('field_repeated')
  })
})

test('keys of one hash are told apart, whatever came before', () => {
  // 31 * 'A' + 'a' is 31 * 'B' + 'B': the usual form hashes both the same.
  for (const key of ['Aa', 'BB', 'Aa', 'AaAa', 'BBBB', 'AaBB', 'BBAa', 'BB'])
    expect(read(`key=${key}&value=1`)).toEqual({ key, value: 1 })
})

test('whatever URLSearchParams writes is read back', () => {
  const anyKey = fc.string({ unit: 'binary', minLength: 1, maxLength: 100 })
  fc.assert(
    fc.property(anyKey, fc.maxSafeInteger(), (key, value) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
      fc.pre(!/[\u0000-\u001f\u007f]/.test(key) && Buffer.byteLength(key) <= 512)
      expect(read(new URLSearchParams({ key, value: String(value) }).toString())).toEqual({ key, value })
    }),
  )
})

test('no bytes whatever make it throw, and what it accepts is a key and an integer', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (bytes, isForm) => {
      const body = isForm ? Buffer.concat([Buffer.from('value=1&key='), bytes]) : Buffer.from(bytes)
      const result = readBytes(body)
      if (typeof result === 'string') return
      expect(result.key.isWellFormed() && result.key.length > 0).toBe(true)
      expect(Number.isSafeInteger(result.value)).toBe(true)
    }),
    { numRuns: 2_000 },
  )
})
