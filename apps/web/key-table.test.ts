import fc from 'fast-check'
import { expect, test } from 'vitest'
import { keyBytesMax } from '../../queue/limits.ts'
import { KeyTable } from './key-table.ts'

/** Keys that differ in little: in length alone, in the last byte, in what is ASCII and what is not. */
const anyKey = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 9 }),
  fc.string({ unit: fc.constantFrom('é', 'a', '字', '😀', 'Ã', '©'), minLength: 1, maxLength: 20 }),
  fc.nat({ max: keyBytesMax - 1 }).map(length => 'x'.repeat(length + 1)),
)

test('it numbers keys as they come, and finds each by its number and by itself', () => {
  fc.assert(
    fc.property(fc.array(anyKey, { maxLength: 300 }), anyKey, (keys, another) => {
      const table = new KeyTable()
      const model = new Map<string, number>()
      for (const key of keys) {
        if (!model.has(key)) model.set(key, model.size)
        expect(table.findOrAdd(key)).toBe(model.get(key))
        expect(table.size).toBe(model.size)
      }
      for (const [key, number] of model) expect(table.keyAt(number)).toBe(key)
      for (const key of [...keys, another]) expect(table.find(key)).toBe(model.get(key) ?? -1)
    }),
  )
})

test('keys of one hash are kept apart by their text', () => {
  for (const hash of [0, -1]) {
    const table = new KeyTable(() => hash)
    const keys = Array.from({ length: 500 }, (_, index) => `key ${1_000 + index}`)
    expect(keys.map(key => table.findOrAdd(key))).toEqual(keys.map((_, index) => index))
    expect(keys.map(key => table.find(key))).toEqual(keys.map((_, index) => index))
    expect(table.find('key 1500')).toBe(-1)
  }
})

test('it keeps hundreds of thousands of keys apart', () => {
  const table = new KeyTable()
  const keyCount = 300_000
  const key = (index: number) => `${'k'.repeat(index % 41)}${index}`
  for (let index = 0; index < keyCount; index++) table.findOrAdd(key(index))
  expect(table.size).toBe(keyCount)
  let wrong = 0
  for (let index = 0; index < keyCount; index++)
    if (table.find(key(index)) !== index || table.keyAt(index) !== key(index)) wrong++
  expect(wrong).toBe(0)
  expect(table.find(key(keyCount))).toBe(-1)
})

test('a key beyond the limit is a fault, not another key', () => {
  const table = new KeyTable()
  expect(() => table.findOrAdd('x'.repeat(keyBytesMax + 1))).toThrow('a key beyond the limit')
})
