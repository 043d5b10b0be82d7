import type { Batch, KeyedRequest, ReceivedBatch, Sum } from '../../batch/batch.ts'
import { encodeBatch } from '../../batch/writer.ts'

/** A batch for tests; a producer given as a number becomes the id `00000001`. */
export function batch(given: {
  producer?: number
  sequence: number
  sums?: Record<string, Sum>
  increments?: number
  sealed?: number
  oldestMs?: number
  keyed?: readonly KeyedRequest[]
}): ReceivedBatch {
  const sums = given.sums ?? { a: 1 }
  const keyed = given.keyed ?? []
  const increments = given.increments ?? Object.keys(sums).length + keyed.length
  return received({
    producer: producerId(given.producer ?? 1),
    sequence: given.sequence,
    oldestMs: given.oldestMs ?? 1_000,
    increments,
    sealed: given.sealed ?? given.sequence * increments,
    keys: Object.keys(sums),
    keyed,
    sums: Object.values(sums),
  })
}

/** Returns a batch as it comes out of a queue; equal to any other with the same fields. */
function received(batch: Batch): ReceivedBatch {
  return Object.defineProperty(batch, 'element', { get: () => encodeBatch(batch) }) as ReceivedBatch
}

export function producerId(number: number): string {
  return String(number).padStart(8, '0')
}

/** A request of one increment with an idempotency key. */
export function keyedRequest(idempotencyKey: string, key: string, sum: Sum): KeyedRequest {
  return { idempotencyKey, fingerprint: `${key}=${sum}`, increments: 1, keys: [key], sums: [sum] }
}
