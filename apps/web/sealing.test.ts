import { expect, test } from 'vitest'
import { type Batch, decodeBatch } from '../../queue/batch.ts'
import { BatchWriter } from '../../queue/batch-writer.ts'
import { batchKeysMax, sliceKeysMax } from '../../queue/limits.ts'
import { keyedRequest, producerId } from '../../test/builders.ts'
import { increment } from '../../test/increments.ts'
import { Accumulator, type Keyed } from './accumulator.ts'
import { Sealing } from './sealing.ts'
import type { Generation } from './waiting.ts'

const now = () => ({ wallMs: 1, monotonicMs: 1 })
const keyed = (name: string): Keyed => ({
  request: keyedRequest(name, name, 1),
  sequenceLast: null,
  position: -1,
})

function sealingOf(accumulator: Accumulator, generation: Generation): Sealing {
  return new Sealing({ accumulator, oldest: accumulator.oldest!, generation, writer: new BatchWriter() })
}

/** Takes the batch and throws it away. */
function finished(writer: BatchWriter): number {
  const header = { producer: producerId(1), sequence: 1, oldestMs: 1, increments: 1, sealed: 1 }
  writer.finish(header)
  return 1
}

function cutAll(accumulator: Accumulator, generation: Generation): Batch[] {
  const sealing = sealingOf(accumulator, generation)
  const batches: Batch[] = []
  while (!sealing.isOver) {
    expect(generation.sequenceLast).toBeNull()
    if (!sealing.writeSlice()) continue
    sealing.cut((writer, increments) => {
      const sequence = batches.length + 1
      const header = { producer: producerId(1), sequence, oldestMs: 1, increments, sealed: increments }
      return batches.push(decodeBatch(writer.finish(header)))
    })
  }
  return batches
}

test('a generation is complete with its last batch, and not before', () => {
  const accumulator = new Accumulator(now)
  for (let index = 0; index < 2 * batchKeysMax + 1; index++) accumulator.add(increment(`k${index}`, 1))
  const generation: Generation = { sequenceLast: null }
  const batches = cutAll(accumulator, generation)
  expect(batches.map(({ keys }) => keys.length)).toEqual([batchKeysMax, batchKeysMax, 1])
  expect(generation.sequenceLast).toBe(3)
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
  const request = { ...keyedRequest('x', 'a', 1), keys, sums: keys.map(() => 1) }
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
  const request = { ...keyedRequest('large', 'a', 1), keys, sums: keys.map(() => 1) }
  accumulator.addKeyed({ request, sequenceLast: null, position: -1 })
  const sealing = sealingOf(accumulator, { sequenceLast: null })
  const slices: number[] = []
  while (!sealing.isOver) {
    const before = sealing.keyCount
    if (sealing.writeSlice()) sealing.cut(finished)
    slices.push(before - sealing.keyCount)
  }
  const full = Array(batchKeysMax / sliceKeysMax).fill(sliceKeysMax)
  expect(slices).toEqual([...full, 1, sliceKeysMax, sliceKeysMax, sliceKeysMax + 1])
})
