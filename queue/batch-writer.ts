import { assert } from '../lib/assert.ts'
import type { BatchId, KeyedRequest, Sum } from './batch.ts'
import { batchBytesMax, batchKeysMax } from './limits.ts'

/** Without keyed requests; what every version reads. */
export const plainFormat = 1
export const keyedFormat = 2

/** What a batch says of all its sums together; see Batch. */
export interface BatchHeader extends BatchId {
  readonly oldestMs: number
  readonly increments: number
  readonly sealed: number
}

/** Writes the element of one batch, in as many slices as the caller likes. */
export class BatchWriter {
  /** JSON, less the brackets. */
  #keys = ''
  #sums = ''
  #keyed = ''
  #keyCount = 0

  /** Of the sums and of the keyed requests. */
  get keyCount(): number {
    return this.#keyCount
  }

  /** `keys[i]` is to be incremented by `sums[i]`. */
  addSums(keys: readonly string[], sums: readonly Sum[]): void {
    assert(keys.length === sums.length)
    this.#keys = joined(this.#keys, keys)
    this.#sums = joined(this.#sums, sums.map(encodeSum))
    this.#keyCount += keys.length
  }

  addKeyed(requests: readonly KeyedRequest[]): void {
    for (const { keys, sums } of requests) {
      assert(keys.length === sums.length)
      this.#keyCount += keys.length
    }
    this.#keyed = joined(this.#keyed, requests.map(encodeKeyed))
  }

  finish({ producer, sequence, oldestMs, increments, sealed }: BatchHeader): string {
    assert(this.#keyCount > 0 && this.#keyCount <= batchKeysMax, `${this.#keyCount} keys in one batch`)
    const v = this.#keyed === '' ? plainFormat : keyedFormat
    const header = JSON.stringify({ v, oldestMs, increments, sealed }).slice(0, -1)
    const keyed = this.#keyed === '' ? '' : `,"keyed":[${this.#keyed}]`
    const element = `${producer} ${sequence} ${header},"keys":[${this.#keys}],"sums":[${this.#sums}]${keyed}}`
    assert(element.length < batchBytesMax)
    return element
  }
}

function joined(json: string, items: readonly unknown[]): string {
  if (items.length === 0) return json
  const more = JSON.stringify(items).slice(1, -1)
  return json === '' ? more : `${json},${more}`
}

function encodeKeyed(request: KeyedRequest): KeyedRequest {
  const { idempotencyKey, fingerprint, increments, keys } = request
  return { idempotencyKey, fingerprint, increments, keys, sums: request.sums.map(encodeSum) as Sum[] }
}

function encodeSum(sum: Sum): number | string {
  return typeof sum === 'bigint' ? sum.toString() : sum
}
