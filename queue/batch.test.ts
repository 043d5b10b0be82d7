import fc from 'fast-check'
import { expect, test } from 'vitest'
import { batch, keyedRequest, producerId } from '../test/builders.ts'
import { addSums, type Batch, batchIdOf, decodeBatch, newProducerId, type Sum } from './batch.ts'
import { encodeBatch } from './batch-writer.ts'
import { batchKeysMax, idempotencyKeyBytesMax, keyBytesMax, keyedBatchBytesMax } from './limits.ts'

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
  const entries = fc.uniqueArray(fc.tuple(fc.string({ unit: 'binary', minLength: 1 }), sum), {
    minLength: 1,
    selector: ([key]) => key,
  })
  fc.assert(
    fc.property(entries, fc.nat(), fc.nat(), (pairs, increments, sequence) => {
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
])('%j is no batch', element => {
  expect(() => decodeBatch(element)).toThrowError(expect.objectContaining({ code: 'batch_corrupt' }))
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
    fingerprint: 'f'.repeat(22),
    increments: 1e15,
    keys,
    sums: keys.map(() => -(2n ** 70n)),
  }
  const content = { oldestMs: Date.UTC(2100), increments: 1e15, sealed: 1e15, keys: [], sums: [] }
  const whole = { producer: newProducerId(), sequence: 1e15, ...content, keyed: [request] }
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
