import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hashOf } from '../../batch/key-hash.ts'
import { KeyCache } from './key-cache.ts'
import { sumOf, SumTable } from '../../batch/sum-rows.ts'

type Row = readonly [key: string, sum: number]

/** Returns a table's content after these batches, one after the other, merged by a cache for so many bytes. */
function merged(batches: readonly (readonly Row[])[], cacheBytes: number): Row[] {
  const rows = batches.flat()
  const table = new SumTable(rows.reduce((bytes, [key]) => bytes + Buffer.byteLength(key), 0))
  const cache = new KeyCache(table, cacheBytes)
  for (const batch of batches) {
    const firstRow = table.count
    for (const [key, sum] of batch) {
      const start = table.end
      table.end += table.bytes.write(key, start)
      table.add(start, table.end, sum)
    }
    cache.merge(firstRow)
  }
  return Array.from({ length: table.count }, (_, row) => [
    table.bytes.toString('utf8', table.keyStart(row), table.keyEnd(row)),
    table.sums[sumOf(row)]!,
  ])
}

function totals(rows: readonly Row[]): Map<string, bigint> {
  const sums = new Map<string, bigint>()
  for (const [key, sum] of rows) sums.set(key, (sums.get(key) ?? 0n) + BigInt(sum))
  return sums
}

const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index): Row => [`key ${from + index}`, 1])

describe('a key cache', () => {
  test('adds a key that comes again to its row, in the order in which the keys came first', () => {
    const batches: Row[][] = [
      [
        ['b', 2],
        ['a', 1],
      ],
      [
        ['c', 5],
        ['a', -4],
        ['b', 0],
      ],
      [['c', 1]],
    ]
    expect(merged(batches, 1_000)).toEqual([
      ['b', 2],
      ['a', -3],
      ['c', 6],
    ])
  })

  test('tells keys of equal hashes apart', () => {
    expect(hashOf(Buffer.from('costarring'), 0, 10)).toBe(hashOf(Buffer.from('liquid'), 0, 6))
    expect(merged([[['costarring', 1]], [['liquid', 2]], [['liquid', 3]]], 100)).toEqual([
      ['costarring', 1],
      ['liquid', 5],
    ])
  })

  test('changes no total, whatever the keys, the sums and its size', () => {
    const key = fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom('a', 'b', 'é', '😀') })
    const few = fc.tuple(
      key,
      fc.oneof(
        fc.integer(),
        fc.maxSafeInteger().map(sum => sum || 0),
      ),
    )
    const many = fc.integer({ min: 100, max: 2_000 }).map(count => numbered(count))
    const batch = fc.oneof({ weight: 4, arbitrary: fc.array(few, { maxLength: 60 }) }, many)
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 8 }), fc.nat({ max: 4_000 }), (batches, cacheBytes) => {
        expect(totals(merged(batches, cacheBytes))).toEqual(totals(batches.flat()))
      }),
      { numRuns: 300 },
    )
  })

  test('gives a key another row where a sum would not be exact', () => {
    const max = Number.MAX_SAFE_INTEGER
    expect(merged([[['a', max]], [['a', 2]], [['a', -1]]], 100)).toEqual([
      ['a', max - 1],
      ['a', 2],
    ])
  })

  test('knows nearly all keys that it has cells for, and keeps to them when more come', () => {
    const hot = numbered(500)
    const cold = (batch: number) => numbered(250, 1_000 * (1 + batch))
    const batches = Array.from({ length: 12 }, (_, index) => [...hot, ...cold(index)])
    expect(merged(batches, 16 * 1_024).length).toBeLessThan(500 + 12 * 250 + 12 * 50)
  })

  test('is given up when few keys come again', () => {
    const batches = Array.from({ length: 40 }, (_, index) => numbered(100, 100 * index))
    // Known from the first batch on, and looked up no more.
    const again = numbered(100)
    expect(merged([...batches, again], 16 * 64)).toHaveLength(4_100)
    expect(merged([numbered(100), again], 16 * 64)).not.toHaveLength(200)
  })
})
