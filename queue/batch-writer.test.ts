import fc from 'fast-check'
import { expect, test } from 'vitest'
import { batch, keyedRequest, producerId } from '../test/builders.ts'
import { decodeBatch, encodeBatch } from './batch.ts'
import { BatchWriter } from './batch-writer.ts'

const sum = fc.oneof(fc.maxSafeInteger(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 62n }))

test('a batch that is written in slices is the batch that is written at once', () => {
  const sums = fc.dictionary(fc.string({ minLength: 1 }), sum, { minKeys: 1, maxKeys: 20 })
  const cuts = fc.array(fc.nat({ max: 20 }), { maxLength: 4 })
  fc.assert(
    fc.property(sums, fc.nat({ max: 3 }), cuts, (each, keyedCount, given) => {
      const keyed = Array.from({ length: keyedCount }, (_, index) => keyedRequest(`"${index}"`, 'k', index))
      const whole = batch({ sequence: 7, sums: each, keyed })
      const writer = new BatchWriter()
      const borders = [0, ...given.toSorted((left, right) => left - right), whole.keys.length]
      for (let index = 1; index < borders.length; index++)
        writer.addSums(
          whole.keys.slice(borders[index - 1], borders[index]),
          whole.sums.slice(borders[index - 1], borders[index]),
        )
      for (const request of keyed) writer.addKeyed([request])
      const element = writer.finish(whole)
      expect(element).toBe(encodeBatch(whole))
      expect(decodeBatch(element)).toEqual(whole)
    }),
  )
})

test('the element is JSON behind the name of the batch, as documented', () => {
  const element = encodeBatch(batch({ sequence: 17, sums: { foo: 4, 'b"ar': -1 }, sealed: 120 }))
  expect(element).toBe(
    `${producerId(1)} 17 {"v":1,"oldestMs":1000,"increments":2,"sealed":120,"keys":["foo","b\\"ar"],"sums":[4,-1]}`,
  )
})
