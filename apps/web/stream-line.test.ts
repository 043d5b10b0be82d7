import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readNdjson } from './json.ts'
import { readUsualLine } from './stream-line.ts'

const read = (text: string) => readUsualLine(Buffer.from(text))
/** What is likely to stand in a message, right or wrong. */
const pieces = [
  '{',
  '}',
  '"key"',
  '"value"',
  ':',
  ',',
  ' ',
  '"a"',
  '"\\n"',
  '"é"',
  '0',
  '-',
  '17',
  '01',
  '\n',
]
const value = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer({ min: -20, max: 20 }),
  fc.constantFrom('01', '1.5', '1e3'),
)

test('what it reads, the thorough reader reads in the same way', () => {
  const usual = fc
    .tuple(
      fc.string({ minLength: 1 }),
      value,
      fc.constantFrom('', ' '),
      fc.constantFrom('', '\n', ' ', '\n\n', ','),
    )
    .map(
      ([key, number, gap, end]) => `{"key":${gap}${JSON.stringify(key)},${gap}"value":${gap}${number}}${end}`,
    )
  const wild = fc.array(fc.constantFrom(...pieces), { maxLength: 14 }).map(parts => parts.join(''))
  fc.assert(
    fc.property(fc.oneof(usual, wild), text => {
      const increment = read(text)
      if (increment !== null) expect(readNdjson(Buffer.from(text))).toEqual({ increments: [increment] })
    }),
    { numRuns: 3_000 },
  )
})

test.each([
  ['{"key":"foo","value":5}', { key: 'foo', value: 5 }],
  ['{"key": "foo", "value": -5}\n', { key: 'foo', value: -5 }],
  ['{"key":"a b","value":999999999999999}', { key: 'a b', value: 999_999_999_999_999 }],
])('it reads %s', (text, increment) => {
  expect(read(text)).toEqual(increment)
})

test.each([
  ...[
    '',
    '{',
    '{"key":"foo","value":5',
    '{"key":"foo","value":}',
    '{"key":"foo","value":-}',
    '{"key":"","value":1}',
  ],
  ...[
    '{"key":"foo","value":05}',
    '{"key":"foo","value":5.0}',
    '{"key":"foo","value":"5"}',
    '{"key":"f\\u006f","value":5}',
  ],
  ...['{"key":"é","value":5}', '{"key":"foo","value":9007199254740991}', '{"key":"foo","value":5,"value":6}'],
  ...['{"key":"foo","value":5}x', '{"key":"foo","value":5}\n\n', `{"key":"${'k'.repeat(513)}","value":5}`],
])('it leaves %s to the thorough reader', text => {
  expect(read(text)).toBeNull()
})
