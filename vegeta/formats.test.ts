import { expect, test } from 'vitest'
import { bodyOfJsonTarget, httpTarget, incrementUrl, jsonTarget } from './formats.ts'

test.each([
  ['localhost', 'http://localhost:3333/increment'],
  ['localhost:3441', 'http://localhost:3441/increment'],
  ['localhost:80', 'http://localhost/increment'],
  ['192.168.1.122', 'http://192.168.1.122:3333/increment'],
  ['[::1]', 'http://[::1]:3333/increment'],
  ['[::1]:3441', 'http://[::1]:3441/increment'],
  ['http://counter.test', 'http://counter.test/increment'],
  ['http://counter.test:3333', 'http://counter.test:3333/increment'],
  ['https://counter.test/', 'https://counter.test/increment'],
])('HOST %s stands for %s', (host, url) => {
  expect(incrementUrl(host)).toBe(url)
})

test.each([
  '',
  ' ',
  'http://',
  'ftp://localhost',
  '::1',
  'a b',
  'localhost:',
  'localhost:99999',
  'localhost:x',
])('%j is no HOST', host => {
  expect(incrementUrl(host)).toBe(null)
})

test.each(['localhost/increment', 'me:secret@localhost', 'localhost?a', 'localhost#a', 'a\\b'])(
  '%j has more than a HOST may have',
  host => {
    expect(incrementUrl(host)).toBe(null)
  },
)

test('a body of bytes that JSON and base64 care about comes back from the JSON format', () => {
  const body = 'key="\\é😀\u2028+/=&value=-5'
  expect(bodyOfJsonTarget(jsonTarget('http://localhost/increment', body))).toBe(body)
})

test('the HTTP format is the method and the URL, the header, the file of the body, and an empty line', () => {
  expect(httpTarget('http://localhost/increment', '/a b/1')).toBe(
    'POST http://localhost/increment\nContent-Type: application/x-www-form-urlencoded\n@/a b/1\n',
  )
})
