import fc from 'fast-check'
import { expect, test } from 'vitest'
import { batch, keyedRequest, producerId } from '../test/kit/builders.ts'
import { type Batch, decodeBatch } from './batch.ts'
import { BatchWriter, encodeBatch } from './writer.ts'
import { batchKeysMax } from './limits.ts'

function writeSums(writer: BatchWriter, { keys, sums }: Batch): void {
  for (const [index, key] of keys.entries()) {
    const bytes = Buffer.from(`<${key}>`)
    writer.addSum(bytes, 1, bytes.length - 1, sums[index]!)
  }
}

const sum = fc.oneof(fc.maxSafeInteger(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 62n }))

/** Encodes the same batch by JSON.stringify. */
function byJson({ producer, sequence, oldestMs, increments, sealed, keys, sums, keyed }: Batch): string {
  const plain = sums.map(each => (typeof each === 'bigint' ? String(each) : each))
  const v = keyed.length > 0 ? 2 : 1
  const tail = keyed.length > 0 && {
    keyed: keyed.map(each => ({ ...each, sums: each.sums.map(Number) })),
  }
  return `${producer} ${sequence} ${JSON.stringify({ v, oldestMs, increments, sealed, keys, sums: plain, ...tail })}`
}

test('one writer writes batches one after the other, each as JSON.stringify would', () => {
  const key = fc.oneof(
    fc.string({ minLength: 1, maxLength: 9 }),
    fc.string({ unit: 'binary', minLength: 1 }).filter(text => !/\p{Cc}/u.test(text)),
    fc.stringMatching(/^["\\\\é]{1,5}$/),
  )
  const sums = fc.dictionary(key, sum, { minKeys: 1, maxKeys: 20 })
  const writer = new BatchWriter()
  fc.assert(
    fc.property(sums, fc.nat({ max: 3 }), (each, keyedCount) => {
      const keyed = Array.from({ length: keyedCount }, (_, index) => keyedRequest(`"${index}"`, 'k', index))
      const whole = batch({ sequence: 7, sums: each, keyed })
      writeSums(writer, whole)
      for (const request of keyed) expect(writer.tryAddKeyed(request)).toBe(true)
      const element = writer.finish(whole)
      expect(element).toBe(byJson(whole))
      expect(decodeBatch(element)).toEqual(whole)
      expect(writer.keyCount).toBe(0)
    }),
  )
})

test('whatever integer a sum is, its digits are right', () => {
  const edges = [0, 1, 9, 10, 99, 100, 99_999_999, 100_000_000, 2 ** 31, Number.MAX_SAFE_INTEGER]
  const sums = Object.fromEntries(
    [...edges, ...edges.slice(1).map(each => -each), 2n ** 63n].map((each, index) => [`k${index}`, each]),
  )
  const whole = batch({ sequence: 1, sums })
  expect(encodeBatch(whole)).toBe(byJson(whole))
})

test('a batch may be far larger than usual, and the next one is right, too', () => {
  const long = Object.fromEntries(
    Array.from({ length: batchKeysMax }, (_, index) => [`${'"'.repeat(500)}${index}`, 2n ** 62n]),
  )
  const writer = new BatchWriter()
  for (const sums of [long, { a: 1 }, long]) {
    const whole = batch({ sequence: 1, sums })
    writeSums(writer, whole)
    expect(writer.finish(whole)).toBe(byJson(whole))
  }
})

test('the element is JSON behind the name of the batch, as documented', () => {
  const element = encodeBatch(batch({ sequence: 17, sums: { foo: 4, 'b"ar': -1 }, sealed: 120 }))
  expect(element).toBe(
    `${producerId(1)} 17 {"v":1,"oldestMs":1000,"increments":2,"sealed":120,"keys":["foo","b\\"ar"],"sums":[4,-1]}`,
  )
})
