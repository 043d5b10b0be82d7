import {
  brotliCompressSync,
  constants,
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { decodeBody } from './content-encoding.ts'

const bytesMax = 1024
const text = 'key=foo&value=12345'
const checked = { params: { [constants.ZSTD_c_checksumFlag]: 1 } }
const codings: [name: string, coding: string, encode: (body: Uint8Array) => Uint8Array][] = [
  ['gzip', 'gzip', body => gzipSync(body)],
  ['gzip by its old name', 'X-GZip', body => gzipSync(body)],
  ['deflate', 'deflate', body => deflateSync(body)],
  ['deflate without a wrapper', 'deflate', body => deflateRawSync(body)],
  ['br', 'br', body => brotliCompressSync(body)],
  ['zstd', 'zstd', body => zstdCompressSync(body)],
  ['zstd with a checksum', 'ZSTD', body => zstdCompressSync(body, checked)],
]

describe.each(codings)('%s', (_, coding, encode) => {
  const encoded = encode(Buffer.from(text))

  test('is decoded up to the bound', () => {
    expect(String(decodeBody(coding, encoded, bytesMax))).toBe(text)
    expect(String(decodeBody(coding, encoded, text.length))).toBe(text)
    const random = Buffer.from(Array.from({ length: 1000 }, (_each, index) => (index * index * 7919) & 0xff))
    expect(decodeBody(coding, encode(random), bytesMax)).toEqual(random)
  })

  test('is never decoded beyond the bound', () => {
    expect(decodeBody(coding, encoded, text.length - 1)).toBe('body_too_large')
    expect(decodeBody(coding, encode(Buffer.alloc(4_000_000)), bytesMax)).toBe('body_too_large')
  })

  test('is refused wherever it is cut off, with anything behind it, and when it is something else', () => {
    for (let length = 0; length < encoded.length; length++)
      expect(decodeBody(coding, encoded.subarray(0, length), bytesMax), String(length)).toBe(
        'content_encoding_malformed',
      )
    const behind = Buffer.concat([encoded, Buffer.from('&more=1')])
    expect(decodeBody(coding, behind, bytesMax)).toBe('content_encoding_malformed')
    expect(decodeBody(coding, Buffer.from(text), bytesMax)).toBe('content_encoding_malformed')
  })
})

test('gzip of several members is decoded whole', () => {
  const both = Buffer.concat([gzipSync(Buffer.from('key=foo&')), gzipSync(Buffer.from('value=1'))])
  expect(String(decodeBody('gzip', both, bytesMax))).toBe('key=foo&value=1')
})

test('identity and a missing coding leave the body as it is; others are not known', () => {
  const body = Buffer.from(text)
  expect(decodeBody('', body, 1)).toBe(body)
  expect(decodeBody('Identity', body, 1)).toBe(body)
  for (const coding of ['compress', 'gzip, br', 'gzip;q=1', 'constructor'])
    expect(decodeBody(coding, body, bytesMax)).toBe('content_encoding_unknown')
})
