import type { HttpRequest } from 'uWebSockets.js'
import { hasIdempotencyKey, readAck, readFraming } from '../../../intake/http/request-head.ts'
import type { ProblemCode } from '../../../intake/parse/problems.ts'
import type { Ack } from '../../../intake/send/ack-waiters.ts'

/** How the messages of a stream are answered. */
export interface StreamMode {
  readonly ack: Ack
  /** Messages in a row may have one answer. */
  readonly isJoined: boolean
}

/** The contents of a request to open a stream. */
export interface Upgrade {
  readonly mode: StreamMode
  /** The key of the handshake: 16 bytes in base64. */
  readonly key: string
}

const keyLength = 24

/** Reads the request that opens a stream (RFC 6455, 4.2.1), or says why it opens none. */
export function readUpgrade(request: HttpRequest, defaultAck: Ack): Upgrade | ProblemCode {
  // One party would take for messages what another takes for a body.
  if (readFraming(request) !== 'no body') return 'framing_ambiguous'
  const key = request.getHeader('sec-websocket-key')
  const isUpgrade =
    request.getHeader('upgrade').toLowerCase() === 'websocket' &&
    /\bupgrade\b/i.test(request.getHeader('connection')) &&
    request.getHeader('sec-websocket-version') === '13' &&
    key.length === keyLength
  if (!isUpgrade) return 'upgrade_required'
  if (hasIdempotencyKey()) return 'idempotency_not_on_stream'
  const query = request.getQuery() ?? ''
  const ack = query === '' ? null : readAck(query)
  if (ack === 'key_not_utf8' || ack === 'ack_unknown') return ack
  const answers = new URLSearchParams(query).getAll('answers')
  if (answers.length > 1 || !['single', 'joined', undefined].includes(answers[0])) return 'answers_unknown'
  return { mode: { ack: ack ?? defaultAck, isJoined: answers[0] === 'joined' }, key }
}
