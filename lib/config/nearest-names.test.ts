import { expect, test } from 'vitest'
import { didYouMean, nearestNames } from './nearest-names.ts'

const known = ['port', 'host', 'consumer-port', 'flush-interval-ms', 'keys-max']

test.each([
  ['prot', ['port']],
  ['pport', ['port']],
  ['hots', ['host']],
  ['flush', ['flush-interval-ms']],
  ['flushintervalms', ['flush-interval-ms']],
  ['flush-intreval-sm', ['flush-interval-ms']],
  ['key-max', ['keys-max']],
  ['kyes-mxa', ['keys-max']],
  ['dance', []],
])('near %s is %j', (wanted, expected) => {
  expect(nearestNames(wanted, known)).toEqual(expected)
})

test('a suggestion names all that were found, or says nothing', () => {
  expect(didYouMean(['--a', '--b'])).toBe('; did you mean --a or --b?')
  expect(didYouMean([])).toBe('')
})
