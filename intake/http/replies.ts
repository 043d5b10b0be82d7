import { codingsKnown } from './content-encoding.ts'
import { type ProblemCode, problems } from '../parse/problems.ts'
import type { Ack } from '../send/ack-waiters.ts'

/** What a request that waited is told. */
export interface Reached {
  readonly accepted: number
  readonly reached: Ack
  /** As far as was asked: 200, otherwise 202. */
  readonly isComplete: boolean
  readonly isLast: boolean
  /** What the store made of a request with an idempotency key. */
  readonly result?: 'applied' | 'duplicate' | undefined
  /** How long its key is kept; null where that is not known. */
  readonly idempotencyWindow?: string | null
}

export function reachedBody({ accepted, reached, result }: Omit<Reached, 'isLast'>): string {
  return JSON.stringify({ accepted, ack: reached, result })
}

export function windowHeader(span: string | null = null): Readonly<Record<string, string>> {
  return span === null ? {} : { 'Idempotency-Window': span }
}

/** What the refusal has of headers because of its code. */
export function problemHeaders(code: ProblemCode): Readonly<Record<string, string>> {
  if (code === 'content_encoding_unknown') return { 'Accept-Encoding': codingsKnown }
  switch (problems[code].status) {
    case 403:
      return { Vary: 'Origin' }
    case 426:
      return { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' }
    case 503:
      return { 'Retry-After': '1' }
    default:
      return {}
  }
}
