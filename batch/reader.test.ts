import fc from 'fast-check'
import { expect, test } from 'vitest'
import { batch, keyedRequest } from '../test/kit/builders.ts'
import { type Batch, decodeBatch, type Sum } from './batch.ts'
import { encodeBatch } from './writer.ts'
import { scanElement } from './reader.ts'
import { endOf, startOf, sumOf, SumTable } from './sum-rows.ts'

const bytesOf = (element: string) => Buffer.byteLength(element)
const scan = (element: string) => {
  const table = new SumTable(bytesOf(element))
  return { table, scanned: scanElement(element, table) }
}
const rowsOf = ({ bytes, places, sums, count }: SumTable) =>
  Array.from({ length: count }, (_, row) => [
    bytes.toString('utf8', places[startOf(row)], places[endOf(row)]),
    sums[sumOf(row)],
  ])
const isAccepted = (element: string) => {
  try {
    return decodeBatch(element)
  } catch {
    return null
  }
}

const key = fc.string({
  minLength: 1,
  maxLength: 40,
  unit: fc.constantFrom('a', 'b', 'é', '\uffff', '😀', 'yz'),
})
const sum = fc.oneof(
  { weight: 20, arbitrary: fc.integer() },
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map((sum): Sum => {
    return sum >= BigInt(Number.MIN_SAFE_INTEGER) && sum <= BigInt(Number.MAX_SAFE_INTEGER)
      ? Number(sum)
      : sum
  }),
)
const sums = fc.dictionary(key, sum, { minKeys: 1, maxKeys: 30 })

test('it reads the same as decodeBatch', () => {
  let scannedCount = 0
  fc.assert(
    fc.property(sums, fc.integer({ min: 1, max: 1e9 }), (sums, sequence) => {
      const given: Batch = batch({ sums, sequence })
      const element = encodeBatch(given)
      const { table, scanned } = scan(element)
      if (scanned === null) {
        expect(table.count).toBe(0)
        expect(table.end).toBe(0)
        return
      }
      scannedCount++
      const decoded = decodeBatch(element)
      for (const field of ['producer', 'sequence', 'oldestMs', 'increments', 'sealed'] as const)
        expect(scanned[field]).toEqual(decoded[field])
      expect(scanned.keys).toEqual(decoded.keys)
      expect(rowsOf(table)).toEqual(decoded.keys.map((key, index) => [key, decoded.sums[index]]))
      expect(scanned.sumOfSums).toBe(decoded.sums.reduce((all: bigint, each) => all + BigInt(each), 0n))
    }),
    { numRuns: 500 },
  )
  expect(scannedCount).toBeGreaterThan(50)
})

test('it refuses everything that decodeBatch refuses', () => {
  const element = encodeBatch(batch({ sequence: 7, sums: { foo: 12, bär: -345, baz: 0 } }))
  expect(scan(element).scanned).not.toBeNull()
  const edit = fc.record({
    at: fc.nat({ max: element.length - 1 }),
    cut: fc.nat({ max: 3 }),
    put: fc.string({ maxLength: 3, unit: fc.constantFrom(...'0123456789-+.,:"[]{}\\ eab\u0001\ud800é') }),
  })
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), edits => {
      let edited = element
      for (const { at, cut, put } of edits) edited = edited.slice(0, at) + put + edited.slice(at + cut)
      const { table, scanned } = scan(edited)
      const decoded = isAccepted(edited)
      if (scanned === null) {
        expect(table.count).toBe(0)
        return
      }
      expect(decoded, edited).not.toBeNull()
      expect(table.count).toBe(decoded!.keys.length)
      expect(rowsOf(table).map(([, sum]) => sum)).toEqual(decoded!.sums)
    }),
    { numRuns: 5_000 },
  )
})

test.each([
  ['a key with an escape', encodeBatch(batch({ sequence: 1, sums: { 'say "hi"': 1 } }))],
  ['a sum beyond the safe integers', encodeBatch(batch({ sequence: 1, sums: { a: 2n ** 60n } }))],
  ['a sum of sixteen digits', encodeBatch(batch({ sequence: 1, sums: { a: Number.MAX_SAFE_INTEGER } }))],
  ['a keyed request', encodeBatch(batch({ sequence: 1, keyed: [keyedRequest('k', 'a', 1)] }))],
  ['garbage', 'garbage'],
])('%s is left to decodeBatch', (_, element) => {
  const { table, scanned } = scan(element)
  expect(scanned).toBeNull()
  expect([table.count, table.end]).toEqual([0, 0])
})

test('several elements stand one after the other, with one that was left out between them', () => {
  const elements = [{ a: 1, b: 2 }, { 'say "hi"': 3 }, { c: 4 }].map((sums, index) =>
    encodeBatch(batch({ sequence: index + 1, sums })),
  )
  const table = new SumTable(bytesOf(elements.join('')))
  expect(elements.map(element => scanElement(element, table)?.sequence)).toEqual([1, undefined, 3])
  expect(rowsOf(table)).toEqual([
    ['a', 1],
    ['b', 2],
    ['c', 4],
  ])
})

test('the sum of all sums is exact beyond the safe integers', () => {
  const max = 999_999_999_999_999
  const sums = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`key ${index}`, max]))
  const { scanned } = scan(encodeBatch(batch({ sequence: 1, sums })))
  expect(scanned?.sumOfSums).toBe(40n * BigInt(max))
})
