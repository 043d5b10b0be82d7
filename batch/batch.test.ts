import fc from 'fast-check'
import { expect, test } from 'vitest'
import { batch, keyedRequest, producerId } from '../test/kit/builders.ts'
import { addSums, type Batch, batchIdOf, decodeBatch, newProducerId, type Sum } from './batch.ts'
import { encodeBatch } from './writer.ts'
import { scanElement } from './reader.ts'
import {
  elementBytesMax,
  batchKeysMax,
  countMax,
  fingerprintBytesMax,
  idempotencyKeyBytesMax,
  keyBytesMax,
  keyedBatchBytesMax,
} from './limits.ts'
import { SumTable } from './sum-rows.ts'

test('an element starts with its producer and its sequence in plain text', () => {
  const element = encodeBatch(batch({ producer: 7, sequence: 12, sums: { a: 5, b: -(2n ** 60n) } }))
  expect(element).toBe(
    '00000007 12 {"v":1,"oldestMs":1000,"increments":2,"sealed":24,"keys":["a","b"],"sums":[5,"-1152921504606846976"]}',
  )
  expect(batchIdOf(element)).toEqual({ producer: producerId(7), sequence: 12 })
})

test('whatever is encoded is decoded as it was', () => {
  const sum = fc.oneof(
    fc.maxSafeInteger(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 90n }),
    fc.bigInt({ min: -(2n ** 90n), max: -(2n ** 53n) }),
  )
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no key has one.
  const key = fc.string({ unit: 'binary', minLength: 1 }).filter(text => !/[\0-\x1f\x7f]/.test(text))
  const entries = fc.uniqueArray(fc.tuple(key, sum), {
    minLength: 1,
    selector: ([key]) => key,
  })
  fc.assert(
    fc.property(entries, fc.nat(), fc.nat(), (pairs, more, sequence) => {
      const increments = pairs.length + more
      const sealed: Batch = {
        producer: newProducerId(),
        sequence: sequence + 1,
        oldestMs: 1,
        increments,
        sealed: increments,
        keys: pairs.map(([key]) => key),
        sums: pairs.map(([, each]) => (Object.is(each, -0) ? 0 : each)),
        keyed: [],
      }
      expect(decodeBatch(encodeBatch(sealed))).toEqual(sealed)
    }),
  )
})

test.each([
  [''],
  ['garbage'],
  ['00000001 1'],
  ['00000001 0 {}'],
  ['00000001 -1 {}'],
  ['00000001 1.5 {}'],
  ['nobody 1 {}'],
  ['00000001 1 {'],
  ['00000001 1 []'],
  ['00000001 1 {"v":2,"oldestMs":1,"increments":1,"sealed":1,"keys":["a"],"sums":[1]}'],
  ['00000001 1 {"v":1,"increments":1,"sealed":1,"keys":["a"],"sums":[1]}'],
  ['00000001 1 {"v":1,"oldestMs":1,"increments":-1,"sealed":1,"keys":["a"],"sums":[1]}'],
  ['00000001 1 {"v":1,"oldestMs":1,"increments":1,"sealed":1,"keys":[],"sums":[]}'],
  ['00000001 1 {"v":1,"oldestMs":1,"increments":1,"sealed":1,"keys":["a","b"],"sums":[1]}'],
  ['00000001 1 {"v":1,"oldestMs":1,"increments":1,"sealed":1,"keys":[""],"sums":[1]}'],
  ['00000001 1 {"v":1,"oldestMs":1,"increments":1,"sealed":1,"keys":[5],"sums":[1]}'],
  ['00000001 1 {"v":1,"oldestMs":1,"increments":1,"sealed":1,"keys":["a"],"sums":[1.5]}'],
  ['00000001 1 {"v":1,"oldestMs":1,"increments":1,"sealed":1,"keys":["a"],"sums":["1e5"]}'],
  ['00000001 1 {"v":1,"oldestMs":1,"increments":1,"sealed":1,"keys":["a"],"sums":[null]}'],
  [
    '00000001 1 {"v":{"toString":1,"valueOf":1},"oldestMs":1,"increments":1,"sealed":1,"keys":["a"],"sums":[1]}',
  ],
  ['00000001 1 {"v":1000,"oldestMs":1,"increments":1,"sealed":1,"keys":["a"],"sums":[1]}'],
  ['00000001 1 {"__proto__":{"v":1,"oldestMs":1,"increments":1,"sealed":1,"keys":["a"],"sums":[1]}}'],
  [`${'0'.repeat(65)} 1 {"v":1,"oldestMs":1,"increments":1,"sealed":1,"keys":["a"],"sums":[1]}`],
])('%j is no batch', element => {
  expect(() => decodeBatch(element)).toThrowError(expect.objectContaining({ code: 'batch_corrupt' }))
})

/** An element as somebody might make it up, good but for what is given. */
function madeUp(given: { sequence?: string; head?: object; keys?: unknown[]; keyed?: object }): string {
  const keys = given.keys ?? ['a']
  const keyed = given.keyed && {
    idempotencyKey: 'k',
    fingerprint: 'f',
    increments: 1,
    keys: ['a'],
    sums: [1],
  }
  const head = { v: keyed ? 2 : 1, oldestMs: 1, increments: 20_000, sealed: 20_000, ...given.head }
  const body = {
    ...head,
    keys,
    sums: keys.map(() => 1),
    ...(keyed && { keyed: [{ ...keyed, ...given.keyed }] }),
  }
  return `00000001 ${given.sequence ?? '1'} ${JSON.stringify(body)}`
}

/** Each with one limit, which is still a batch, and what is just beyond it, which is none. */
test.each([
  ['a sequence', { sequence: String(countMax) }, { sequence: String(countMax + 1) }],
  ['a count of increments', { head: { sealed: countMax } }, { head: { sealed: countMax + 1 } }],
  ['a time', { head: { oldestMs: countMax } }, { head: { oldestMs: countMax + 1 } }],
  [
    'increments of what was sealed',
    { head: { increments: 9, sealed: 9 } },
    { head: { increments: 9, sealed: 8 } },
  ],
  [
    'increments for keys',
    { head: { increments: 2 }, keys: ['a', 'b'] },
    { head: { increments: 1 }, keys: ['a', 'b'] },
  ],
  [
    'increments for keyed requests',
    { head: { increments: 2 }, keyed: {} },
    { head: { increments: 1 }, keyed: {} },
  ],
  ['increments of one keyed request', { keyed: {} }, { keyed: { increments: 0 } }],
  [
    'keys',
    { keys: Array.from({ length: batchKeysMax }, (_, index) => `${index}`) },
    { keys: Array.from({ length: batchKeysMax + 1 }, (_, index) => `${index}`) },
  ],
  ['a key in ASCII', { keys: ['k'.repeat(keyBytesMax)] }, { keys: ['k'.repeat(keyBytesMax + 1)] }],
  ['a key in bytes', { keys: ['é'.repeat(keyBytesMax / 2)] }, { keys: [`${'é'.repeat(keyBytesMax / 2)}k`] }],
  ['characters of a key', { keys: [' ~é\u0080'] }, { keys: ['\0'] }],
  ['characters of a key, too', { keys: ['\ufffd'] }, { keys: ['\u007f'] }],
  ['well-formed keys', { keys: ['\ud83d\ude00'] }, { keys: ['\ud83d'] }],
  [
    'an idempotency key',
    { keyed: { idempotencyKey: 'k'.repeat(255) } },
    { keyed: { idempotencyKey: 'k'.repeat(256) } },
  ],
  [
    'an idempotency key in characters',
    { keyed: { idempotencyKey: ' "~' } },
    { keyed: { idempotencyKey: 'é' } },
  ],
  [
    'a fingerprint',
    { keyed: { fingerprint: 'f'.repeat(fingerprintBytesMax) } },
    { keyed: { fingerprint: 'f'.repeat(fingerprintBytesMax + 1) } },
  ],
])('the limit of %s is one for both readers', (_, within, beyond) => {
  const scan = (element: string) => scanElement(element, new SumTable(Buffer.byteLength(element)))
  expect(decodeBatch(madeUp(within)).producer).toBe('00000001')
  expect(() => decodeBatch(madeUp(beyond))).toThrowError(expect.objectContaining({ code: 'batch_corrupt' }))
  expect(scan(madeUp(beyond))).toBeNull()
})

test('100,000 keyed requests, and brackets without end, are refused in a moment', () => {
  const startedMs = performance.now()
  const keyed = Array(100_000).fill({
    idempotencyKey: 'k',
    fingerprint: 'f',
    increments: 0,
    keys: [],
    sums: [],
  })
  const head = '00000001 1 {"v":2,"oldestMs":1,"increments":1,"sealed":1'
  for (const body of [
    `"keyed":${JSON.stringify(keyed)},"keys":[],"sums":[]`,
    `"x":${'['.repeat(8e6)}${']'.repeat(8e6)}`,
  ])
    expect(() => decodeBatch(`${head},${body}}`)).toThrowError(
      expect.objectContaining({ code: 'batch_corrupt' }),
    )
  expect(() => decodeBatch('x'.repeat(elementBytesMax + 1))).toThrowError('larger than any batch')
  expect(performance.now() - startedMs).toBeLessThan(2_000)
})

test('a key may be full of brackets, quotes and backslashes', () => {
  const sums = Object.fromEntries(
    Array.from({ length: 1_000 }, (_, index) => [`\\"[[[[{{{{${index}`.padEnd(200, '\\'), 1]),
  )
  expect(decodeBatch(encodeBatch(batch({ sequence: 1, sums }))).keys).toEqual(Object.keys(sums))
})

test('a message about an element shows nothing of its contents', () => {
  const evil = '\u001b[2J'
  for (const element of [
    evil,
    `00000001 1 {"v":"${evil}"}`,
    `00000001 1 {${evil}}`,
    madeUp({ keys: [evil] }),
  ])
    expect(() => decodeBatch(element)).toThrowError(/^an element of the queue [a-z ,A-Z8-]+$/)
})

test('a batch without keyed requests is in the format that every version reads', () => {
  const plain = encodeBatch(batch({ sequence: 1, sums: { a: 1 } }))
  expect(plain).toContain('"v":1')
  expect(plain).not.toContain('keyed')
  expect(decodeBatch(plain).keyed).toEqual([])
})

test('keyed requests travel unsummed, each with its sums, of whatever size', () => {
  const keyed = [keyedRequest('"x" y', 'a', 5), keyedRequest('z', 'a', 2n ** 70n)]
  for (const sums of [{}, { a: 1 }]) {
    const sealed = batch({ sequence: 3, sums, keyed })
    expect(encodeBatch(sealed)).toContain('"v":2')
    expect(decodeBatch(encodeBatch(sealed))).toEqual(sealed)
  }
})

test.each([
  '"keyed":[]',
  '"keyed":{}',
  '"keyed":[null]',
  '"keyed":[{"idempotencyKey":"a","fingerprint":"f","increments":1,"keys":["a"]}]',
  '"keyed":[{"idempotencyKey":1,"fingerprint":"f","increments":1,"keys":["a"],"sums":[1]}]',
  '"keyed":[{"idempotencyKey":"a","fingerprint":"f","increments":-1,"keys":["a"],"sums":[1]}]',
  '"keyed":[{"idempotencyKey":"a","fingerprint":"f","increments":1,"keys":["a"],"sums":[1.5]}]',
])('keyed requests that nobody writes are refused: %s', keyed => {
  const header = '"v":2,"oldestMs":1,"increments":1,"sealed":1,"keys":[],"sums":[]'
  const element = `${newProducerId()} 1 {${header},${keyed}}`
  expect(() => decodeBatch(element)).toThrowError(expect.objectContaining({ code: 'batch_corrupt' }))
})

test('the largest batch, which holds one keyed request, fits its bound', () => {
  const keys = Array.from({ length: batchKeysMax }, (_, index) => String(index).padEnd(keyBytesMax, '"'))
  const request = {
    idempotencyKey: '"'.repeat(idempotencyKeyBytesMax),
    fingerprint: 'f'.repeat(fingerprintBytesMax),
    increments: countMax,
    keys,
    sums: keys.map(() => -(2n ** 70n)),
  }
  const content = { oldestMs: countMax, increments: countMax, sealed: countMax, keys: [], sums: [] }
  const whole = { producer: newProducerId(), sequence: countMax, ...content, keyed: [request] }
  const element = encodeBatch(whole)
  expect(element.length).toBeLessThan(keyedBatchBytesMax)
  expect(decodeBatch(element)).toEqual(whole)
})

test('sums stay numbers while that is exact, and are exact beyond', () => {
  const sum = fc.oneof(fc.maxSafeInteger(), fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }))
  const isExact = (left: Sum, right: Sum) => BigInt(addSums(left, right)) === BigInt(left) + BigInt(right)
  fc.assert(fc.property(sum, sum, isExact))
  expect(addSums(1, 2)).toBe(3)
})

test('a minus before a zero is no other sum', () => {
  const element = `${newProducerId()} 1 {"v":1,"oldestMs":1,"increments":1,"sealed":1,"keys":["a"],"sums":[-0]}`
  expect(decodeBatch(element).sums).toEqual([0])
})
