import { expect, test } from 'vitest'
import { type Batch, decodeBatch } from '../../batch/batch.ts'
import { BatchWriter } from '../../batch/writer.ts'
import { batchBytesMax, batchKeysMax, entryBytesMax, keyBytesMax, sliceKeysMax } from '../../batch/limits.ts'
import { keyedRequest, producerId } from '../../test/kit/builders.ts'
import { increment } from '../../test/kit/increments.ts'
import { Accumulator, type Keyed } from '../count/accumulator.ts'
import { BatchCutter } from './batch-cutter.ts'
import type { FlushCohort } from './ack-waiters.ts'

const now = () => ({ wallMs: 1, monotonicMs: 1 })
const keyed = (name: string): Keyed => ({
  request: keyedRequest(name, name, 1),
  sequenceLast: null,
  position: -1,
})

function cutterOf(accumulator: Accumulator, cohort: FlushCohort): BatchCutter {
  return new BatchCutter({ accumulator, oldest: accumulator.oldest!, cohort, writer: new BatchWriter() })
}

/** Takes the batch and throws it away. */
function finished(writer: BatchWriter): number {
  const header = { producer: producerId(1), sequence: 1, oldestMs: 1, increments: 1, sealed: 1 }
  writer.finish(header)
  return 1
}

function cutAll(accumulator: Accumulator, cohort: FlushCohort, sizes: number[] = []): Batch[] {
  const cutter = cutterOf(accumulator, cohort)
  const batches: Batch[] = []
  while (!cutter.isOver) {
    expect(cohort.sequenceLast).toBeNull()
    if (!cutter.writeSlice()) continue
    cutter.cut((writer, increments) => {
      const sequence = batches.length + 1
      const header = { producer: producerId(1), sequence, oldestMs: 1, increments, sealed: increments }
      const element = writer.finish(header)
      sizes.push(Buffer.byteLength(element))
      return batches.push(decodeBatch(element))
    })
  }
  return batches
}

test('a cohort is complete with its last batch, and not before', () => {
  const accumulator = new Accumulator(now)
  for (let index = 0; index < 2 * batchKeysMax + 1; index++) accumulator.add(increment(`k${index}`, 1))
  const cohort: FlushCohort = { sequenceLast: null }
  const batches = cutAll(accumulator, cohort)
  expect(batches.map(({ keys }) => keys.length)).toEqual([batchKeysMax, batchKeysMax, 1])
  expect(cohort.sequenceLast).toBe(3)
})

test('keyed requests follow the sums, and know the batch and the place where they went', () => {
  const accumulator = new Accumulator(now)
  const requests = ['x', 'y', 'z'].map(keyed)
  for (let index = 0; index < batchKeysMax - 2; index++) accumulator.add(increment(`k${index}`, 1))
  for (const request of requests) accumulator.addKeyed(request)
  expect(accumulator.keyCount).toBe(batchKeysMax + 1)
  const batches = cutAll(accumulator, { sequenceLast: null })
  expect(batches.map(each => [each.keys.length, each.keyed.length, each.increments])).toEqual([
    [batchKeysMax - 2, 2, batchKeysMax],
    [0, 1, 1],
  ])
  expect(requests.map(({ sequenceLast, position }) => [sequenceLast, position])).toEqual([
    [1, 0],
    [1, 1],
    [2, 0],
  ])
})

test('a keyed request is never divided', () => {
  const accumulator = new Accumulator(now)
  accumulator.add(increment('a', 1))
  const keys = Array.from({ length: batchKeysMax }, (_, index) => `k${index}`)
  const request = { ...keyedRequest('x', 'a', 1), increments: keys.length, keys, sums: keys.map(() => 1) }
  accumulator.addKeyed({ request, sequenceLast: null, position: -1 })
  const batches = cutAll(accumulator, { sequenceLast: null })
  expect(batches.map(each => [each.keys.length, each.keyed.length])).toEqual([
    [1, 0],
    [0, 1],
  ])
})

test('no slice has more keys than the limit, but for a keyed request that has them', () => {
  const accumulator = new Accumulator(now)
  for (let index = 0; index < batchKeysMax + 1; index++) accumulator.add(increment(`k${index}`, 1))
  for (let index = 0; index < 2 * sliceKeysMax; index++) accumulator.addKeyed(keyed(`n${index}`))
  const keys = Array.from({ length: sliceKeysMax + 1 }, (_, index) => `k${index}`)
  const request = { ...keyedRequest('large', 'a', 1), increments: keys.length, keys, sums: keys.map(() => 1) }
  accumulator.addKeyed({ request, sequenceLast: null, position: -1 })
  const cutter = cutterOf(accumulator, { sequenceLast: null })
  const slices: number[] = []
  while (!cutter.isOver) {
    const before = cutter.keyCount
    if (cutter.writeSlice()) cutter.cut(finished)
    slices.push(before - cutter.keyCount)
  }
  const full = Array(batchKeysMax / sliceKeysMax).fill(sliceKeysMax)
  expect(slices).toEqual([...full, 1, sliceKeysMax, sliceKeysMax, sliceKeysMax + 1])
})

test.each([
  ['long ones', (index: number) => 'k'.repeat(keyBytesMax - 4) + (1_000 + index)],
  ['ones that JSON makes twice as long', (index: number) => '"'.repeat(keyBytesMax - 4) + (1_000 + index)],
  ['ones of three bytes a letter', (index: number) => '駅'.repeat(160) + (1_000 + index)],
])('a batch of many keys, %s, has at most a mebibyte, and nearly that', (_, key) => {
  const accumulator = new Accumulator(now)
  const keyCount = 5_000
  for (let index = 0; index < keyCount; index++)
    for (let count = 0; count < 3; count++) accumulator.add(increment(key(index), -Number.MAX_SAFE_INTEGER))
  const sizes: number[] = []
  const batches = cutAll(accumulator, { sequenceLast: null }, sizes)
  expect(new Set(batches.flatMap(({ keys }) => keys)).size).toBe(keyCount)
  expect(batches.flatMap(({ keys }) => keys)).toHaveLength(keyCount)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(batchBytesMax)
  expect(Math.min(...sizes.slice(0, -1))).toBeGreaterThan(batchBytesMax - 2 * entryBytesMax)
})

test('keyed requests make no batch larger than a mebibyte, but for a single one that is', () => {
  const accumulator = new Accumulator(now)
  const keys = Array.from({ length: 100 }, (_, index) => '"'.repeat(keyBytesMax - 4) + (1_000 + index))
  const wide = (count: number, name: string): Keyed => ({
    request: {
      ...keyedRequest(name, 'a', 1),
      increments: keys.length * count,
      keys: keys.flatMap(key => Array.from({ length: count }, () => key)),
      sums: Array(keys.length * count).fill(1),
    },
    sequenceLast: null,
    position: -1,
  })
  const requests = [...Array(30).keys()].map(index => wide(1, `n${index}`))
  requests.splice(15, 0, wide(100, 'huge'))
  accumulator.add(increment('a', 1))
  for (const request of requests) accumulator.addKeyed(request)
  const sizes: number[] = []
  const batches = cutAll(accumulator, { sequenceLast: null }, sizes)
  expect(batches.flatMap(({ keyed }) => keyed.map(each => each.idempotencyKey))).toEqual(
    requests.map(({ request }) => request.idempotencyKey),
  )
  const larger = batches.filter((_, index) => sizes[index]! > batchBytesMax)
  expect(larger.map(each => [each.keys.length, each.keyed.length])).toEqual([[0, 1]])
  expect(larger[0]!.keyed[0]!.idempotencyKey).toBe('huge')
  expect(batches.length).toBeLessThan(8)
  for (const request of requests)
    expect(batches[request.sequenceLast! - 1]!.keyed[request.position]).toEqual(request.request)
})
