import type { Log } from '../../lib/log.ts'
import type { Metrics } from '../../lib/metrics.ts'
import type { Keyed } from './accumulator.ts'
import { asBuffer } from './body.ts'
import type { Flusher } from './flusher.ts'
import { readForm } from './form.ts'
import { formType } from './head.ts'
import { type IncrementsRead, type Refusal, readJson, readNdjson } from './json.ts'
import type { ProblemCode } from './problems.ts'

export type Outcome = { readonly code: null; readonly accepted: number } | Refusal

type BodyFormat = 'form' | 'json' | 'ndjson'

const acceptedOne: Outcome = { code: null, accepted: 1 }

const formats: ReadonlyMap<string, BodyFormat> = new Map([
  ['', 'form'],
  [formType, 'form'],
  ['application/json', 'json'],
  ['application/x-ndjson', 'ndjson'],
  ['application/jsonl', 'ndjson'],
])

/** From the bytes of a request to the accumulator: everything is counted, or nothing and a code says why. */
export class Ingest {
  readonly #flusher: Flusher
  readonly #log: Log
  readonly #refusals
  #requestsAccepted = 0

  constructor(flusher: Flusher, log: Log, metrics: Metrics) {
    this.#flusher = flusher
    this.#log = log
    this.#refusals = metrics.counter(
      'piccolo_requests_refused_total',
      'Requests refused, by the code of the answer',
      ['code'],
    )
    metrics.counterOf('piccolo_requests_accepted_total', 'Requests counted', () => this.#requestsAccepted)
  }

  count(contentType: string, query: string, body: Uint8Array): Outcome {
    if (contentType === formType) {
      const increment = readForm(body, query)
      if (typeof increment === 'string') return refusal(increment)
      if (!this.#flusher.tryAdd(increment.key, increment.value)) return refusal('memory_full')
      this.#requestsAccepted++
      return acceptedOne
    }
    const read = readIncrements(contentType, query, body)
    if ('code' in read) return read
    if (!this.#flusher.tryAddAll(read.increments)) return refusal('memory_full')
    this.#requestsAccepted++
    return { code: null, accepted: read.increments.length }
  }

  /** Takes a request that counts once, however often it comes. */
  countKeyed(keyed: Keyed): Outcome {
    if (!this.#flusher.tryAddKeyed(keyed)) return refusal('memory_full')
    this.#requestsAccepted++
    return { code: null, accepted: keyed.request.increments }
  }

  refused(code: ProblemCode): void {
    this.#refusals.inc({ code })
  }

  fault(error: unknown): void {
    this.#log.error({ err: error }, 'a request met a fault of ours')
  }
}

/** All increments of a request, or what is wrong with it. Counts nothing. */
export function readIncrements(contentType: string, query: string, body: Uint8Array): IncrementsRead {
  const format = formats.get(contentType) ?? formatOf(contentType)
  if (format === null) return refusal('content_type_unknown')
  if (format === 'json') return readJson(asBuffer(body))
  if (format === 'ndjson') return readNdjson(asBuffer(body))
  const increment = readForm(body, query)
  return typeof increment === 'string' ? refusal(increment) : { increments: [increment] }
}

/** Why a request is refused as a whole. */
export function refusal(code: ProblemCode): Refusal {
  return { code, errors: [] }
}

/**
 * Of a content type with parameters or capital letters; null when it is none of ours, or its charset is not
 * UTF-8.
 */
function formatOf(contentType: string): BodyFormat | null {
  const [type, ...parameters] = contentType.split(';').map(part => part.trim().toLowerCase())
  const charset = parameters.find(parameter => parameter.startsWith('charset='))?.slice('charset='.length)
  if (charset !== undefined && !['utf-8', 'utf8', 'us-ascii'].includes(charset.replaceAll('"', '')))
    return null
  return formats.get(type || 'none') ?? null
}
