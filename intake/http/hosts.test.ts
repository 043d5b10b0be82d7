import { expect, test } from 'vitest'
import { parseHosts } from './hosts.ts'

test.each([
  ['*', '*'],
  ['counter.example', 'counter.example'],
  ['Counter.example , piccolo.default.svc', 'counter.example,piccolo.default.svc'],
  ['bücher.example', 'xn--bcher-kva.example'],
  ['counter.example.', 'counter.example'],
  ['under_score', 'under_score'],
  ['10.0.0.7', '10.0.0.7'],
  ['[::1]', '[::1]'],
])('%s is a list of names', (text, list) => {
  expect(parseHosts(text)).toBe(list)
})

test.each([
  '',
  ',',
  'counter.example,',
  'counter.example:3333',
  'http://counter.example',
  'counter.example/',
  '*.counter.example',
  'user@counter.example',
  'a b',
  'a\\b',
  '[::1',
  '::1',
  '.',
])('%j is none', text => {
  expect(parseHosts(text)).toBeUndefined()
})
