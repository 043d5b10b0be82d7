import type { HttpResponse } from 'uWebSockets.js'
import {
  type IncrementProblem,
  type ProblemCode,
  problemBody,
  statusLine,
} from '../../../intake/parse/problems.ts'
import { problemHeaders, type Reached, reachedBody, windowHeader } from '../../../intake/http/replies.ts'
import type { UnreadAnswers } from '../write-buffers.ts'

export interface RefusalOptions {
  /** Close the connection after the answer. */
  readonly isLast: boolean
  /** Read nothing of what follows on the connection. */
  readonly isUntrusted?: boolean
  readonly errors?: readonly IncrementProblem[]
  /** The methods that the path has. */
  readonly allow?: string
  /** The answer has the headers that it would have with its body, and no body. */
  readonly isHead?: boolean
  readonly idempotencyWindow?: string | null
}

// Bytes, because uWebSockets.js takes them as they are and would convert a string for each answer again. The
// only header goes together with the status, as each write is a call into native code.
const okJson = bytesOf('200 OK\r\nContent-Type: application/json')
const acceptedOne = bytesOf(acceptedBody(1))

/** Answers 200; `isLast` closes the connection. */
export function answerAccepted(response: HttpResponse, accepted: number, isLast: boolean): void {
  response.writeStatus(okJson)
  const body = accepted === 1 ? acceptedOne : acceptedBody(accepted)
  if (Math.random() < triedShare) end(response, body, isLast)
  else response.end(body, isLast)
}

/**
 * The share of the short, most frequent answers at which we find out whether earlier answers pile up. Looking
 * costs a tenth of a request. The choice is random, so that no client can avoid it: a thousand unread
 * answers, some 90 KB, go unnoticed once in ten million times.
 */
const triedShare = 1 / 64

/** Answers a request that waited. */
export function answerReached(response: HttpResponse, reached: Reached): void {
  response.writeStatus(reached.isComplete ? '200 OK' : '202 Accepted')
  response.writeHeader('Content-Type', 'application/json')
  writeHeaders(response, windowHeader(reached.idempotencyWindow))
  end(response, reachedBody(reached), reached.isLast)
}

/**
 * The bytes of answers that uWebSockets.js collects before it writes. A longer answer is written at once,
 * together with those before it, and if it closes the connection, that happens before anything behind its
 * request is read.
 */
const keptBytes = 16_384

export function writeHeaders(
  response: HttpResponse,
  headers: Readonly<Record<string, string>>,
): HttpResponse {
  for (const [name, value] of Object.entries(headers)) response.writeHeader(name, value)
  return response
}

export function answerProblem(response: HttpResponse, code: ProblemCode, refusal: RefusalOptions): void {
  response.writeStatus(statusLine(code))
  response.writeHeader('Content-Type', 'application/problem+json')
  if (refusal.allow !== undefined) response.writeHeader('Allow', refusal.allow)
  writeHeaders(response, { ...problemHeaders(code), ...windowHeader(refusal.idempotencyWindow) })
  const problem = problemBody(code, refusal.errors)
  const body = refusal.isUntrusted ? problem.padEnd(keptBytes) : problem
  if (refusal.isHead) endHead(response, body)
  else end(response, body, refusal.isLast)
}

/**
 * Ends an answer that is no page. Beyond what the operating systems hold, unread answers would pile up in
 * this process without a bound, and uWebSockets.js does not tell how many: the first one that does ends the
 * connection.
 */
export function end(response: HttpResponse, body: ArrayBuffer | string, isLast: boolean): void {
  if (isLast) {
    response.end(body, true)
    return
  }
  const [, isWritten] = response.tryEnd(body, byteLength(body))
  if (!isWritten) cut(response)
}

/** Closes the connection of a request that is done with, and of whose end nobody has to hear. */
export function cut(response: HttpResponse): void {
  response.onAborted(() => {})
  response.close()
}

function byteLength(body: ArrayBuffer | string): number {
  return typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
}

/**
 * Ends an answer of any length, as fast as its client reads it: of what is not written yet, only the body
 * itself is kept. uWebSockets.js cuts a client that reads nothing for 10 s, or sends a request meanwhile.
 */
export function endPage(response: HttpResponse, body: string, unread: UnreadAnswers): void {
  const bytes = Buffer.from(body)
  const [, isWritten] = response.tryEnd(bytes, bytes.length)
  if (isWritten) return
  if (unread.verdict(0) === 'cut') {
    cut(response)
    return
  }
  unread.changed(0, bytes.length)
  response.onAborted(() => unread.changed(bytes.length, 0))
  response.onWritable(offset => {
    const [isFine, isDone] = response.tryEnd(bytes.subarray(offset), bytes.length)
    if (isDone) unread.changed(bytes.length, 0)
    return isFine
  })
}

/** Ends the answer to a HEAD request, whose body would have been `body`. */
export function endHead(response: HttpResponse, body: string): void {
  // Given a length itself, endWithoutBody of uWebSockets.js 20.51 leaves the request unanswered for ever.
  response.writeHeader('Content-Length', String(Buffer.byteLength(body)))
  response.endWithoutBody()
}

/**
 * Does `work`, which answers the request, once uWebSockets.js has read to the end what came in one go. An
 * answer that closes the connection does not keep it from reading on: it would answer, and count, the
 * request behind it. But it cuts a connection that sends more while an answer is awaited, or that
 * ends its chunks in a way that it does not understand; `work` is not done then.
 */
export function answerLater(response: HttpResponse, onAborted: () => void, work: () => void): void {
  let isAborted = false
  response.onAborted(() => {
    isAborted = true
    onAborted()
  })
  setImmediate(() => {
    if (!isAborted) response.cork(work)
  })
}

/** An ArrayBuffer, and no view of one: that is a call less into V8. */
function bytesOf(text: string): ArrayBuffer {
  return new Uint8Array(Buffer.from(text)).buffer
}

function acceptedBody(accepted: number): string {
  return `{"accepted":${accepted},"ack":"memory"}`
}
