import fc from 'fast-check'
import { expect, test } from 'vitest'
import { increments } from '../../test/kit/increments.ts'
import type { IncrementList } from '../parse/increment-list.ts'
import { KeyTable, undividedMax } from './key-table.ts'

const listOf = (...keys: string[]) => increments(...keys.map(key => [key, 1] as const))
function addressesOf({ records, size }: KeyTable): number[] {
  const addresses = [0]
  while (addresses.length < size) addresses.push(records.next(addresses.at(-1)!))
  return addresses.slice(0, size)
}
const textsOf = (table: KeyTable) => addressesOf(table).map(address => textAt(table, address))
function textAt({ records }: KeyTable, address: number): string {
  const key = records.bytesOf(address).subarray(records.keyStart(address), records.keyEnd(address))
  return Buffer.from(key).toString()
}
/** Adds keys; returns which key of the table each one is, counted from 0. */
function addAll(table: KeyTable, list: IncrementList): number[] {
  const addresses = Array.from({ length: list.length }, (_, index) => table.findOrAdd(list, index))
  const numbers = new Map(addressesOf(table).map((address, number) => [address, number]))
  return addresses.map(address => numbers.get(address)!)
}

/** A list as somebody would choose its keys who wants them all to hash alike. */
function alike(...keys: string[]): IncrementList {
  const list = listOf(...keys)
  list.keyHashes.fill(7)
  return list
}

test('keys are numbered in the order in which they come, and keep their numbers', () => {
  const table = new KeyTable()
  expect(addAll(table, listOf('b', 'a', 'b', 'é', 'a'))).toEqual([0, 1, 0, 2, 1])
  expect(textsOf(table)).toEqual(['b', 'a', 'é'])
  expect(table.find(listOf('x'), 0)).toBe(-1)
  expect(table.size).toBe(3)
})

test('it is a Map from keys to numbers, whatever the keys are and however they hash', () => {
  const key = fc.oneof(fc.string({ unit: 'binary', minLength: 1 }), fc.stringMatching(/^[ab]{1,8}$/))
  const keys = fc.array(key, { minLength: 1, maxLength: 500 })
  fc.assert(
    fc.property(keys, fc.boolean(), (given, isAlike) => {
      const table = new KeyTable()
      const known = new Map<string, number>()
      const list = isAlike ? alike(...given) : listOf(...given)
      for (let index = 0; index < list.length; index++) {
        const text = list.keyAt(index)
        expect(table.find(list, index)).toBe(known.get(text) ?? -1)
        const address = table.findOrAdd(list, index)
        expect(textAt(table, address)).toBe(text)
        if (!known.has(text)) known.set(text, address)
        expect(address).toBe(known.get(text))
      }
      expect(textsOf(table)).toEqual([...known.keys()])
    }),
  )
})

test('ten thousand keys with one hash are told apart, and are not compared each with all others', () => {
  const keys = Array.from({ length: 10_000 }, (_, index) => `key ${index}`)
  const table = new KeyTable()
  const { records } = table
  let comparisons = 0
  const holds = records.holds.bind(records)
  records.holds = (...args) => {
    comparisons++
    return holds(...args)
  }
  const list = alike(...keys)
  const numbers = addAll(table, list)
  expect(addAll(table, list)).toEqual(numbers)
  expect(comparisons / (2 * keys.length)).toBeLessThanOrEqual(32)
  expect(numbers).toEqual(keys.map((_, index) => index))
  expect(textsOf(table)).toEqual(keys)
})

test.each([1_000, 4 * undividedMax])(
  'it keeps %i keys apart, and so does one that is sized like it',
  count => {
    const keys = Array.from({ length: count }, (_, index) => `${'k'.repeat(index % 41)}${index}`)
    const lists = Array.from({ length: Math.ceil(count / 1_000) }, (_, index) =>
      listOf(...keys.slice(1_000 * index, 1_000 * (index + 1))),
    )
    const first = new KeyTable()
    const add = (table: KeyTable) => {
      for (const list of lists) for (let index = 0; index < list.length; index++) table.findOrAdd(list, index)
    }
    add(first)
    const second = KeyTable.sizedLike(first)
    expect(second.size).toBe(0)
    for (const table of [first, second]) {
      add(table)
      expect(textsOf(table)).toEqual(keys)
      expect(table.find(listOf('another'), 0)).toBe(-1)
    }
  },
)

test('cleared, it knows no key, and numbers them anew', () => {
  const table = new KeyTable()
  const keys = Array.from({ length: undividedMax + 1_000 }, (_, index) => `key ${index}`)
  for (const round of [keys, keys.toReversed(), ['a', 'b'], keys]) {
    const list = listOf(...round)
    for (let index = 0; index < list.length; index++) expect(table.find(list, index)).toBe(-1)
    expect(addAll(table, list)).toEqual(round.map((_, index) => index))
    expect(textsOf(table)).toEqual(round)
    expect(addAll(table, alike(...round.slice(0, 200)))).toHaveLength(Math.min(200, round.length))
    table.clear()
    expect(table.size).toBe(0)
  }
})
