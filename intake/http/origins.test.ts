import { expect, test } from 'vitest'
import { parseOrigins } from './origins.ts'

test.each([
  ['*', '*'],
  ['null', 'null'],
  ['https://a.example', 'https://a.example'],
  ['https://A.example:443 , http://b:8080', 'https://a.example,http://b:8080'],
  ['https://bücher.example', 'https://xn--bcher-kva.example'],
  ['http://[::1]:80', 'http://[::1]'],
  ['chrome-extension://abcdef', 'chrome-extension://abcdef'],
])('%s is a list of origins', (text, list) => {
  expect(parseOrigins(text)).toBe(list)
})

test.each([
  '',
  ',',
  'https://a.example,',
  'a.example',
  'https://a.example/',
  'https://a.example/page',
  'https://*.a.example',
  'https://user@a.example',
  'https://a.example:port',
  'https:// a.example',
  'https://',
  'NULL x',
])('%j is none', text => {
  expect(parseOrigins(text)).toBeUndefined()
})
