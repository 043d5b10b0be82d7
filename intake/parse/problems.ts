/**
 * Every answer that refuses a request: a status, a stable code, and how to fix it. Documented in
 * docs/http-api.md. Errors travel as RFC 9457 problem details.
 */
export const problems = {
  key_missing: { status: 400, detail: 'Send a non-empty key: key=foo&value=5.' },
  key_too_long: { status: 400, detail: 'A key is at most 512 bytes of UTF-8.' },
  key_not_utf8: { status: 400, detail: 'A key is valid UTF-8; percent-encode its UTF-8 bytes in a form.' },
  key_control_character: {
    status: 400,
    detail: 'A key has no control characters (U+0000 to U+001F, U+007F).',
  },
  key_not_text: { status: 400, detail: 'A key is a JSON string.' },
  value_missing: { status: 400, detail: 'Send a value: key=foo&value=5.' },
  value_not_integer: {
    status: 400,
    detail:
      'A value is a base-10 integer with an optional sign; in JSON a number without exponent, or a string.',
  },
  value_out_of_range: {
    status: 400,
    detail: 'A value is from -9007199254740991 to 9007199254740991; send several increments for more.',
  },
  field_repeated: { status: 400, detail: 'Send key and value once each; for several increments send JSON.' },
  increment_not_object: { status: 400, detail: 'An increment is a JSON object: {"key":"foo","value":5}.' },
  json_malformed: {
    status: 400,
    detail: 'Send {"key":"foo","value":5}, several such objects, or an array of them.',
  },
  increments_refused: {
    status: 400,
    detail: 'Nothing was counted; fix what is listed in errors and send it again.',
  },
  ack_unknown: { status: 400, detail: 'ack is memory, queued or committed, given once.' },
  idempotency_key_invalid: {
    status: 400,
    detail: 'An Idempotency-Key is 1 to 255 printable ASCII characters in quotes, given once.',
  },
  idempotency_keys_differ: {
    status: 400,
    detail: 'Idempotency-Key and X-Idempotency-Key are the same header; send one key.',
  },
  framing_ambiguous: {
    status: 400,
    detail: 'Send one Content-Length, or Transfer-Encoding: chunked, and not both.',
  },
  origin_refused: {
    status: 403,
    detail: 'Pages of this origin may not count here; --cors-origins lists those that may.',
  },
  host_refused: {
    status: 403,
    detail: 'Pages count at an address, at localhost, or at a name that --hosts lists.',
  },
  not_found: { status: 404, detail: 'POST to /increment; GET / tells what there is.' },
  method_not_allowed: { status: 405, detail: 'The Allow header names the methods of this path.' },
  idempotency_key_in_flight: {
    status: 409,
    detail: 'A request with this Idempotency-Key is under way; wait for its answer, or try again later.',
  },
  length_required: { status: 411, detail: 'Send a Content-Length, or Transfer-Encoding: chunked.' },
  body_too_large: { status: 413, detail: 'Send the increments in several smaller requests.' },
  idempotency_too_many_keys: {
    status: 413,
    detail:
      'A request with an Idempotency-Key has at most 10000 different keys; send several, each with an own one.',
  },
  idempotency_key_reused: {
    status: 422,
    detail: 'This Idempotency-Key was used for other increments; nothing was counted. Take a fresh one.',
  },
  content_type_unknown: {
    status: 415,
    detail:
      'Send application/x-www-form-urlencoded, application/json, application/x-ndjson or application/jsonl, in UTF-8.',
  },
  json_called_form: {
    status: 415,
    detail: 'This body is JSON: send the header Content-Type: application/json.',
  },
  content_encoding_malformed: {
    status: 400,
    detail: 'The body is not what its Content-Encoding says: one complete stream, and nothing behind it.',
  },
  content_encoding_unknown: {
    status: 415,
    detail: 'A body may be encoded as gzip, deflate, br or zstd, by one of them; the header says which.',
  },
  upgrade_required: {
    status: 426,
    detail: 'Open /stream as a WebSocket, version 13: ws://host:port/stream.',
  },
  answers_unknown: { status: 400, detail: 'answers is single or joined, given once.' },
  idempotency_not_on_stream: {
    status: 400,
    detail: 'A stream takes no Idempotency-Key; send what needs one by POST /increment.',
  },
  memory_full: {
    status: 503,
    detail: 'Too many distinct keys wait for the queue; nothing was counted, try again later.',
  },
  connections_full: {
    status: 503,
    detail: 'Too many connections are open; nothing was counted. Keep fewer, or try again later.',
  },
  waiting_full: {
    status: 503,
    detail: 'Too many requests wait for their acknowledgement; nothing was counted, try again later.',
  },
  unfinished_full: {
    status: 503,
    detail: 'Clients have sent too much that is not complete; nothing was counted, try again later.',
  },
  idempotency_keys_full: {
    status: 503,
    detail:
      'As many Idempotency-Keys are kept as may be; nothing was counted. Try again with the same key, later.',
  },
  fault: { status: 500, detail: 'An internal error; nothing was counted. It is in the log.' },
} as const satisfies Record<string, { status: number; detail: string }>

export type ProblemCode = keyof typeof problems
type Problem = (typeof problems)[ProblemCode]

const titles: Record<Problem['status'], string> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  411: 'Length Required',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  426: 'Upgrade Required',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** An error in one of several increments. */
export interface IncrementProblem {
  /**
   * Which one: from 0 in a JSON array; otherwise the line, from 1, in which it begins, and which of this line
   * it is, from 2.
   */
  readonly at: { readonly index: number } | { readonly line: number; readonly object?: number }
  readonly code: ProblemCode
}

/** The refusal of a request, or of what its body says: one code for the whole, and what is wrong where. */
export interface Refusal {
  readonly code: ProblemCode
  /** The first `errorsListedMax` errors at most. */
  readonly errors: readonly IncrementProblem[]
}

/** Returns a refusal of the request as a whole. */
export function refusal(code: ProblemCode): Refusal {
  return { code, errors: [] }
}

export function statusLine(code: ProblemCode): string {
  const { status } = problems[code]
  return `${status} ${titles[status]}`
}

/** Only the first 100 errors are listed. */
export const errorsListedMax = 100

export function problemBody(code: ProblemCode, errors: readonly IncrementProblem[] = []): string {
  const { status, detail } = problems[code]
  const listed = errors.slice(0, errorsListedMax)
  return JSON.stringify({
    type: 'about:blank',
    title: titles[status],
    status,
    code,
    detail,
    ...(listed.length > 0 && {
      errors: listed.map(error => ({ ...error.at, code: error.code, detail: problems[error.code].detail })),
    }),
  })
}
