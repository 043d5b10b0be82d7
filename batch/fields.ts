import type { Batch, KeyedRequest, Sum } from './batch.ts'
import { batchError } from './errors.ts'
import {
  batchKeysMax,
  batchNestingMax,
  countMax,
  fingerprintBytesMax,
  idempotencyKeyBytesMax,
  keyBytesMax,
} from './limits.ts'

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = [34, 92, 91, 93, 123, 125]
const sumPattern = /^-?[0-9]{1,30}$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: no key has one.
const controlCharacter = /[\0-\x1f\x7f]/
const printableAscii = /^[ -~]*$/
/** UTF-16 units of a text that is short enough to be read whatever is in it. */
const anyNestingUnits = 64 * 1024

/**
 * Returns the problem of a batch whose fields are each valid but do not fit together; null when there is none.
 */
export function problemOfCounts({
  increments,
  sealed,
  keyCount,
  keyed,
}: Pick<Batch, 'increments' | 'sealed' | 'keyed'> & { readonly keyCount: number }): string | null {
  let all = keyCount
  let due = keyCount
  for (const request of keyed) {
    all += Math.max(1, request.keys.length)
    due += request.increments
  }
  if (all === 0) return 'has no sums'
  if (all > batchKeysMax) return 'has more keys than any batch'
  if (due > increments) return 'has fewer increments than keys'
  return increments > sealed ? 'has more increments than its producer sealed' : null
}

/** An object. Throws OperationError `batch_corrupt`, as all of these. */
export function parseJson(json: string): Record<string, unknown> {
  if (!json.endsWith('}')) throw corrupt('does not end where a batch ends')
  if (json.length > anyNestingUnits && isNestedDeeper(json, batchNestingMax))
    throw corrupt('is nested deeper than any batch')
  try {
    return JSON.parse(json)
  } catch (error) {
    throw corrupt('is not JSON', error)
  }
}

/** JSON.parse takes seconds, and hundreds of megabytes, for a text that does nothing but open brackets. */
function isNestedDeeper(json: string, nestingMax: number): boolean {
  let nesting = 0
  let isText = false
  for (let index = 0; index < json.length; index++) {
    const unit = json.charCodeAt(index)
    if (unit === quote) isText = !isText
    else if (isText) index += unit === backslash ? 1 : 0
    else if (unit === openBracket || unit === openBrace) {
      if (++nesting > nestingMax) return true
    } else if (unit === closeBracket || unit === closeBrace) nesting--
  }
  return false
}

export function decodeSums({ keys, sums }: Record<string, unknown>): {
  keys: readonly string[]
  sums: readonly Sum[]
} {
  if (!Array.isArray(keys) || !Array.isArray(sums) || keys.length !== sums.length)
    throw corrupt('has no matching keys and sums')
  if (!keys.every(isKey)) throw corrupt('has a key that nobody can count')
  return { keys, sums: sums.map(decodeSum) }
}

function isKey(key: unknown): boolean {
  if (typeof key !== 'string' || key === '' || key.length > keyBytesMax) return false
  return Buffer.byteLength(key) <= keyBytesMax && key.isWellFormed() && !controlCharacter.test(key)
}

export function decodeKeyed(keyed: unknown): KeyedRequest[] {
  if (!Array.isArray(keyed) || keyed.length === 0 || keyed.length > batchKeysMax)
    throw corrupt('has no keyed requests')
  return keyed.map((request: Record<string, unknown>) => {
    const { idempotencyKey, fingerprint, increments } = request ?? {}
    if (
      !isPrintable(idempotencyKey, idempotencyKeyBytesMax) ||
      idempotencyKey === '' ||
      !isPrintable(fingerprint, fingerprintBytesMax) ||
      !isCount(increments)
    )
      throw corrupt('has a bad keyed request')
    const { keys, sums } = decodeSums(request)
    if (increments < keys.length) throw corrupt('has a keyed request with fewer increments than keys')
    return { idempotencyKey, fingerprint, increments, keys, sums }
  })
}

function isPrintable(text: unknown, bytesMax: number): text is string {
  return typeof text === 'string' && text.length <= bytesMax && printableAscii.test(text)
}

function decodeSum(sum: unknown): Sum {
  // JSON has a -0, which nobody writes: as a sum it is 0.
  if (Number.isSafeInteger(sum)) return (sum as number) + 0
  if (typeof sum === 'string' && sumPattern.test(sum)) return BigInt(sum)
  throw corrupt('has a sum that is no integer')
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= countMax
}

/** Says nothing that the element holds. */
export function corrupt(what: string, cause?: unknown): Error {
  return batchError('batch_corrupt', `an element of the queue ${what}`, cause)
}
