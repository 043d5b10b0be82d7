import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pageUnitsLog2, pageUnitsMask, Records } from './key-records.ts'

const text = (records: Records, address: number) =>
  Buffer.from(
    records.bytesOf(address).subarray(records.keyStart(address), records.keyEnd(address)),
  ).toString()
const numbersAt = ({ pages }: Records, address: number) => {
  const { numbers } = pages[address >>> pageUnitsLog2]!
  const at = address & pageUnitsMask
  return [numbers[at], numbers[at + 1]]
}
function fill(records: Records, address: number): void {
  const { numbers } = records.pages[address >>> pageUnitsLog2]!
  numbers.fill(7, address & pageUnitsMask, (address & pageUnitsMask) + 2)
}

test('whatever the lengths of the keys, each is found where it was put, in their order', () => {
  const length = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(1, 5, 6, 7, 8, 13, 14, 511, 512))
  const records = new Records(0)
  fc.assert(
    fc.property(fc.array(length, { minLength: 1, maxLength: 50 }), lengths => {
      records.clear()
      const keys: string[] = []
      const addresses: number[] = []
      while (records.unitCount < 2.2 * (pageUnitsMask + 1)) {
        const key = `${keys.length}/`.padEnd(512, 'k').slice(0, lengths[keys.length % lengths.length])
        const bytes = Buffer.from(`<${key}>`)
        const address = records.append(bytes, 1, bytes.length - 1)
        if (numbersAt(records, address).some(number => number !== 0)) throw new Error('no zeros')
        fill(records, address)
        keys.push(key)
        addresses.push(address)
      }
      const walked = [0]
      while (walked.length < keys.length) walked.push(records.next(walked.at(-1)!))
      expect(walked).toEqual(addresses)
      expect(walked.map(address => text(records, address))).toEqual(keys)
      expect(walked.every(address => numbersAt(records, address).join() === '7,7')).toBe(true)
    }),
    { numRuns: 10 },
  )
})

test('a record holds its key, and no longer, shorter or other one', () => {
  const records = new Records(0)
  const bytes = Buffer.from('abcdefghijklmnop')
  const address = records.append(bytes, 2, 12)
  expect(records.holds(address, bytes, 2, 12)).toBe(true)
  for (const [start, end] of [
    [2, 11],
    [2, 13],
    [3, 13],
  ])
    expect(records.holds(address, bytes, start!, end!)).toBe(false)
})
