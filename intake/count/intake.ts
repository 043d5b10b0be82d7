import { countError } from '../../lib/process/error-counts.ts'
import type { Log } from '../../lib/process/log.ts'
import type { Metrics } from '../../lib/process/metrics.ts'
import type { Keyed } from './accumulator.ts'
import type { Flusher } from '../send/flusher.ts'
import { formType, readForm } from '../parse/form.ts'
import { IncrementList } from '../parse/increment-list.ts'
import { readJson, readNdjson } from '../parse/json.ts'
import { type ProblemCode, type Refusal, refusal } from '../parse/problems.ts'

export type IntakeResult = { readonly code: null; readonly accepted: number } | Refusal

type BodyFormat = 'form' | 'json' | 'ndjson'

const acceptedOne: IntakeResult = { code: null, accepted: 1 }

const formats: ReadonlyMap<string, BodyFormat> = new Map([
  ['', 'form'],
  [formType, 'form'],
  ['application/json', 'json'],
  ['application/x-ndjson', 'ndjson'],
  ['application/ndjson', 'ndjson'],
  ['application/jsonl', 'ndjson'],
  ['application/jsonlines', 'ndjson'],
  ['application/x-jsonlines', 'ndjson'],
])

/** Counts the bytes of a request in the accumulator: everything, or nothing and a code says why. */
export class Intake {
  readonly #flusher: Flusher
  readonly #log: Log
  readonly #refusals
  #requestsAccepted = 0
  readonly #list = new IncrementList()

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

  count(contentType: string, query: string, body: Uint8Array): IntakeResult {
    return readIncrements(contentType, query, body, this.#list) ?? this.#add(this.#list)
  }

  /** A message of a stream: NDJSON, most often of one line. */
  countMessage(body: Uint8Array): IntakeResult {
    return readNdjson(body, this.#list) ?? this.#add(this.#list)
  }

  /** Takes a request that counts once, however often it comes. */
  countKeyed(keyed: Keyed): IntakeResult {
    if (!this.#flusher.tryAddKeyed(keyed)) return refusal('memory_full')
    this.#requestsAccepted++
    return { code: null, accepted: keyed.request.increments }
  }

  #add(list: IncrementList): IntakeResult {
    if (!this.#flusher.tryAdd(list)) return refusal('memory_full')
    this.#requestsAccepted++
    return list.length === 1 ? acceptedOne : { code: null, accepted: list.length }
  }

  refused(code: ProblemCode): void {
    this.#refusals.inc({ code })
    // An internal error is in the log, and counted there.
    if (code !== 'fault') countError(code)
  }

  internalError(error: unknown): void {
    this.#log.error({ err: error }, 'a request met an internal error')
  }
}

/** Reads all increments of a request into `list`; or what is wrong with it. Counts nothing. */
export function readIncrements(
  contentType: string,
  query: string,
  body: Uint8Array,
  list: IncrementList,
): Refusal | null {
  const format = contentType === formType ? 'form' : (formats.get(contentType) ?? formatOf(contentType))
  if (format === null) return refusal('content_type_unknown')
  if (format === 'json') return readJson(body, list)
  if (format === 'ndjson') return readNdjson(body, list)
  const problem = readForm(body, query, list)
  return problem === null ? null : refusal(problem)
}

/**
 * Returns the format of a content type, which may have parameters or capital letters; null when it is none of
 * ours, or its charset is not UTF-8.
 */
function formatOf(contentType: string): BodyFormat | null {
  const [type, ...parameters] = contentType.split(';').map(part => part.trim().toLowerCase())
  const charset = parameters.find(parameter => parameter.startsWith('charset='))?.slice('charset='.length)
  if (charset !== undefined && !['utf-8', 'utf8', 'us-ascii'].includes(charset.replaceAll('"', '')))
    return null
  return formats.get(type || 'none') ?? null
}
