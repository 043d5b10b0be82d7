import { formType } from '../parse/form.ts'
import { type IdempotencyKeyHeader, readIdempotencyKeyHeaders } from '../count/idempotency-key.ts'
import type { ProblemCode } from '../parse/problems.ts'
import { type Ack, acks } from '../send/ack-waiters.ts'

/** The part of a request before its body, whichever server receives it. */
export interface RequestHead {
  /** Visits each header, its name in small letters; one that occurs twice is visited twice. */
  forEach(visit: (name: string, value: string) => void): void
  /** Returns the query without its question mark; undefined when there is none. */
  getQuery(): string | undefined
  /** Returns an empty text when the header is missing. */
  getHeader(name: string): string
}

/** The statements of the headers and the query about the body. */
export interface Head {
  /** Empty when the header is missing. */
  readonly contentType: string
  /** The coding of the body; empty when the header is missing. */
  readonly contentEncoding: string
  /** Undecoded, without the question mark, ASCII only. */
  readonly query: string
  readonly isChunked: boolean
  /** Null when the request does not say: the server's default. */
  readonly ack: Ack | null
  /** Null when the request has none. */
  readonly idempotencyKey: string | null
}

/** Values in place of a Content-Length. */
const missing = -1
const malformed = -2

/**
 * Reads what precedes the body. Refuses what two parties on the way could understand differently (RFC 9112,
 * 6.3): a request that a proxy takes for one and we for two is how requests are smuggled. uWebSockets.js
 * lets these through, and only a visit to every header shows that one of them occurs twice.
 */
export function readHead(request: RequestHead, bodyBytesMax: number): Head | ProblemCode {
  headers.contentType = ''
  headers.contentEncoding = ''
  headers.contentLength = missing
  headers.transferEncoding = null
  headers.isRepeated = false
  headers.keys = null
  headers.origin = null
  request.forEach(visit)
  const { contentType, contentEncoding, contentLength, transferEncoding } = headers
  const query = request.getQuery() ?? ''

  if (headers.isRepeated) return 'framing_ambiguous'
  if (contentLength !== missing) {
    if (transferEncoding !== null || contentLength === malformed) return 'framing_ambiguous'
  } else if (transferEncoding !== null) {
    if (transferEncoding !== 'chunked') return 'framing_ambiguous'
  } else if (query === '') {
    // Without either header there is no body, which is fine where the query holds everything.
    return 'length_required'
  }
  const ack = query === '' ? null : readAck(query)
  if (ack === 'key_not_utf8' || ack === 'ack_unknown') return ack
  if (contentLength > bodyBytesMax) return 'body_too_large'
  const isChunked = transferEncoding !== null
  const { keys } = headers
  const idempotency = keys === null ? { key: null } : readIdempotencyKeyHeaders(keys)
  if (typeof idempotency === 'string') return idempotency
  return { contentType, contentEncoding, query, isChunked, ack, idempotencyKey: idempotency.key }
}

/** Returns what follows the head of this request; `ambiguous`: two parties could see that differently. */
export function readFraming(request: RequestHead): 'body' | 'no body' | 'ambiguous' {
  if (readHead(request, Number.POSITIVE_INFINITY) === 'framing_ambiguous') return 'ambiguous'
  return headers.contentLength > 0 || headers.transferEncoding !== null ? 'body' : 'no body'
}

/** It is not certain where the next request of the connection begins. */
export function isFramingRefused(code: unknown): boolean {
  return code === 'framing_ambiguous' || code === 'length_required'
}

/** The length of the body of the request whose head was read last, in bytes; infinite when it is chunked. */
export function bodyLength(): number {
  return headers.transferEncoding === null ? Math.max(0, headers.contentLength) : Number.POSITIVE_INFINITY
}

/** The headers of the current request: one object for all, as the visit is synchronous. */
const headers = {
  contentType: '',
  /** Joined, as if it stood there once, when there are several (RFC 9110, 5.3). */
  contentEncoding: '',
  /** Bytes, or `missing`, or `malformed`. */
  contentLength: missing,
  transferEncoding: null as string | null,
  isRepeated: false,
  /** The headers with an idempotency key; null when there are none. */
  keys: null as IdempotencyKeyHeader[] | null,
  /** Joined, like `contentEncoding`; null when the header is missing. */
  origin: null as string | null,
}

function visit(name: string, value: string): void {
  switch (name) {
    case 'content-type':
      // The usual one is kept as the constant: V8 has to note down where an old object points to a new text.
      headers.contentType = value === formType ? formType : value
      break
    case 'content-length':
      headers.isRepeated ||= headers.contentLength !== missing
      headers.contentLength = readLength(value)
      break
    case 'transfer-encoding':
      headers.isRepeated ||= headers.transferEncoding !== null
      headers.transferEncoding = value.toLowerCase()
      break
    case 'content-encoding':
      headers.contentEncoding =
        headers.contentEncoding === '' ? value : `${headers.contentEncoding}, ${value}`
      break
    case 'idempotency-key':
    case 'x-idempotency-key':
      headers.keys ??= []
      headers.keys.push({ name, value })
      break
    case 'origin':
      headers.origin = headers.origin === null ? value : `${headers.origin}, ${value}`
      break
  }
}

/** Reports whether the request whose head was read last has an idempotency key, be it empty. */
export function hasIdempotencyKey(): boolean {
  return headers.keys !== null
}

/** The origin of the page that made a browser send the request whose head was read last; null without one. */
export function requestOrigin(): string | null {
  return headers.origin
}

/** Digits and nothing else. */
function readLength(text: string): number {
  if (text === '' || text.length > 15) return malformed
  let length = 0
  for (let index = 0; index < text.length; index++) {
    const digit = text.charCodeAt(index) - 0x30
    if (digit < 0 || digit > 9) return malformed
    length = length * 10 + digit
  }
  return length
}

/** Returns null when the query does not say. */
export function readAck(query: string): Ack | null | 'key_not_utf8' | 'ack_unknown' {
  if (!/^[\x21-\x7e]*$/.test(query)) return 'key_not_utf8'
  // The name may be percent-encoded, too.
  if (!/ack|%/.test(query)) return null
  const [given, ...more] = new URLSearchParams(query).getAll('ack')
  if (given === undefined) return null
  return (more.length === 0 && acks.find(ack => ack === given)) || 'ack_unknown'
}
