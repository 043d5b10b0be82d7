import type { HttpRequest } from 'uWebSockets.js'
import type { ProblemCode } from './problems.ts'

/** What the headers and the query say about the body. */
export interface Head {
  /** Empty when the header is missing. */
  readonly contentType: string
  /** Undecoded, without the question mark, ASCII only. */
  readonly query: string
  /** Zero when the body is chunked. */
  readonly contentLength: number
}

/**
 * Reads what precedes the body. Refuses what two parties on the way could understand differently (RFC 9112,
 * 6.3): a request that a proxy takes for one and we for two is how requests are smuggled. uWebSockets.js
 * lets these through.
 */
export function readHead(request: HttpRequest): Head | ProblemCode {
  let contentType = ''
  /** Null when the header is missing. */
  let contentLength: string | null = null
  let transferEncoding: string | null = null
  let isAmbiguous = false
  let hasIdempotencyKey = false
  request.forEach((name, value) => {
    if (name === 'content-length') {
      isAmbiguous ||= contentLength !== null
      contentLength = value
    } else if (name === 'content-type') {
      contentType = value
    } else if (name === 'transfer-encoding') {
      isAmbiguous ||= transferEncoding !== null
      transferEncoding = value
    } else if (name === 'idempotency-key') {
      hasIdempotencyKey = true
    }
  })
  // Undefined, whatever its type says, when there is no question mark.
  const query = request.getQuery() ?? ''
  if (isAmbiguous || (contentLength !== null && transferEncoding !== null)) return 'framing_ambiguous'
  if (transferEncoding !== null && transferEncoding !== 'chunked') return 'framing_ambiguous'
  const length = declaredLength(contentLength)
  if (length === null) return 'framing_ambiguous'
  // Without either header there is no body (RFC 9112, 6.3), which is fine where the query holds everything.
  if (contentLength === null && transferEncoding === null && query === '') return 'length_required'
  if (hasIdempotencyKey) return 'idempotency_unavailable'
  if (query !== '') {
    const problem = refuseQuery(query)
    if (problem !== null) return problem
  }
  return { contentType, query, contentLength: length }
}

function declaredLength(contentLength: string | null): number | null {
  if (contentLength === null) return 0
  return /^[0-9]{1,15}$/.test(contentLength) ? Number(contentLength) : null
}

function refuseQuery(query: string): ProblemCode | null {
  if (!/^[\x21-\x7e]*$/.test(query)) return 'key_not_utf8'
  if (!query.includes('ack')) return null
  return new URLSearchParams(query).getAll('ack').every(ack => ack === 'memory') ? null : 'ack_unknown'
}
