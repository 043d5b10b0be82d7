import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Sum } from '../../batch/batch.ts'
import { SumTable } from '../../batch/sum-rows.ts'
import { keyAt, mergeSums, sumAt } from './merged-sums.ts'

type Part = { keys: string[]; sums: Sum[] }

function merged(parts: readonly Part[]): [string, bigint][] {
  const result = mergeSums(SumTable.of(parts))
  return Array.from(result.ends, (_, index) => [keyAt(result, index), BigInt(sumAt(result, index))])
}

/** The same by the plainest means. */
function expected(parts: readonly Part[]): [string, bigint][] {
  const sums = new Map<string, bigint>()
  for (const { keys, sums: each } of parts)
    for (const [index, key] of keys.entries()) sums.set(key, (sums.get(key) ?? 0n) + BigInt(each[index]!))
  return [...sums].sort(([left], [right]) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
}

const part = (rows: [string, Sum][]): Part => ({
  keys: rows.map(([key]) => key),
  sums: rows.map(([, sum]) => sum),
})
/** Few letters, so that keys share beginnings, and characters of one to four bytes. */
const key = fc
  .string({ minLength: 1, maxLength: 12, unit: fc.constantFrom('a', 'b', 'é', '\uffff', '😀') })
  .filter(key => key !== '')
const sum = fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.constant<Sum>(2n ** 62n))

describe('merged sums', () => {
  test('are in the order of bytes and add up exactly', () => {
    const parts = fc.array(fc.array(fc.tuple(key, sum), { maxLength: 400 }).map(part), { maxLength: 5 })
    fc.assert(
      fc.property(parts, parts => {
        expect(merged(parts)).toEqual(expected(parts))
      }),
      { numRuns: 200 },
    )
  })

  test.each([
    ['one key, many times', () => 'the same'],
    ['long keys that differ in the last byte', index => `${'x'.repeat(500)}${index % 9}`],
    ['keys of which one begins another', index => 'a'.repeat(1 + (index % 300))],
    ['keys of several families', index => `${['user', 'page', 'é'][index % 3]}:${(index * 7_919) % 10_007}`],
  ] as [string, (index: number) => string][])('hold for %s', (_, keyOf) => {
    const rows = Array.from({ length: 5_000 }, (_, index): [string, Sum] => [keyOf(index), index - 7])
    expect(merged([part(rows)])).toEqual(expected([part(rows)]))
  })

  test('are exact where they pass through more than a number can hold', () => {
    const max = Number.MAX_SAFE_INTEGER
    const rows = [max, max, 3, -max, -max].map((sum): [string, Sum] => ['a', sum])
    expect(merged([part(rows)])).toEqual([['a', 3n]])
  })

  test('of nothing are nothing', () => {
    expect(merged([])).toEqual([])
  })
})
