import { codingsKnown } from './content-encoding.ts'
import { type ProblemCode, problems } from '../parse/problems.ts'
import type { Ack } from '../send/ack-waiters.ts'

/** The answer to a request that waited. */
export interface Reached {
  readonly accepted: number
  readonly reached: Ack
  /** The ack that was asked for was reached: 200, otherwise 202. */
  readonly isComplete: boolean
  readonly isLast: boolean
  /** The store's decision about a request with an idempotency key. */
  readonly result?: 'applied' | 'duplicate' | undefined
  /** How long its idempotency key is kept; null where that is not known. */
  readonly idempotencyWindow?: string | null
}

export function reachedBody({ accepted, reached, result }: Omit<Reached, 'isLast'>): string {
  return JSON.stringify({ accepted, ack: reached, result })
}

export function windowHeader(span: string | null = null): Readonly<Record<string, string>> {
  return span === null ? {} : { 'Idempotency-Window': span }
}

/** Returns the headers that a refusal has because of its code. */
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
