import { createHash } from 'node:crypto'
import { addSums, type KeyedRequest, type Sum } from '../../batch/batch.ts'
import { idempotencyKeyBytesMax } from '../../batch/limits.ts'
import type { IncrementList } from '../parse/increment-list.ts'
import type { ProblemCode } from '../parse/problems.ts'

/** So much goes into a fingerprint at a time: a call for each increment costs more than all the rest. */
const hashedLength = 65_536

const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/
const bare = /^[\x21\x23-\x7e]+$/

/** One of the headers that carry an idempotency key, by its name in small letters. */
export interface IdempotencyKeyHeader {
  readonly name: string
  readonly value: string
}

/**
 * Reads the idempotency key of a request that has at least one of these headers. `X-Idempotency-Key` is the
 * same header: Go's client takes either for a promise that it may send the request again.
 */
export function readIdempotencyKeyHeaders(
  headers: readonly IdempotencyKeyHeader[],
): { readonly key: string } | ProblemCode {
  const keys = headers.map(({ value }) => readIdempotencyKey(value))
  const [key = null] = keys
  if (key === null || keys.includes(null)) return 'idempotency_key_invalid'
  if (keys.some(each => each !== key)) return 'idempotency_keys_differ'
  const names = new Set(headers.map(({ name }) => name))
  return names.size === headers.length ? { key } : 'idempotency_key_invalid'
}

/**
 * Reads the value of the header: a string in quotes, as in the IETF draft of the Idempotency-Key header, or
 * the same without quotes. Null when it is neither, empty, or longer than 255 characters.
 */
export function readIdempotencyKey(header: string): string | null {
  const key = quoted.exec(header)?.[1]?.replace(/\\(.)/g, '$1') ?? (bare.test(header) ? header : '')
  return key === '' || key.length > idempotencyKeyBytesMax ? null : key
}

/**
 * The request as it travels to the store: its increments summed by key, and a fingerprint of them, so that
 * the same increments in another form of body are the same request.
 */
export function keyedRequest(idempotencyKey: string, list: IncrementList): KeyedRequest {
  const merged = new Map<string, Sum>()
  const hash = createHash('sha256')
  let text = ''
  for (let index = 0; index < list.length; index++) {
    const key = list.keyAt(index)
    const value = list.values[index]!
    merged.set(key, addSums(merged.get(key) ?? 0, value))
    text += JSON.stringify([key, value])
    if (text.length < hashedLength) continue
    hash.update(text)
    text = ''
  }
  hash.update(text)
  return {
    idempotencyKey,
    fingerprint: hash.digest('base64url').slice(0, 22),
    increments: list.length,
    keys: [...merged.keys()],
    sums: [...merged.values()],
  }
}
