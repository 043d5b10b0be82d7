import { expect, test } from 'vitest'
import { systemClock } from '../lib/clock.ts'
import { encodeBatch } from '../batch/writer.ts'
import { EmbeddedQueue } from '../queue/embedded/embedded-queue.ts'
import type { Element } from '../batch/batch.ts'
import { batch, producerId } from '../test/kit/builders.ts'
import { TransactionSize } from './transaction-size.ts'
import { prepareElements } from './prepare/prepare.ts'
import { Prefetcher } from './prefetcher.ts'

const keysPerBatch = 5_000

async function backlog(batchCount: number): Promise<EmbeddedQueue> {
  const queue = new EmbeddedQueue(systemClock)
  for (let sequence = 1; sequence <= batchCount; sequence++) {
    const key = (index: number) => `key ${sequence} ${index}`.padEnd(40, '.')
    const sums = Object.fromEntries(Array.from({ length: keysPerBatch }, (_, index) => [key(index), 1]))
    const element = encodeBatch(batch({ sequence, sums }))
    await queue.push({ producer: producerId(1), sequence, firstUnconfirmed: 1, element })
  }
  return queue
}

/** Publishes what was taken, as the consumer does after its commit. */
async function commit(queue: EmbeddedQueue, sequence: number): Promise<void> {
  const watermarks = new Map([[producerId(1), sequence]])
  await queue.publish({ watermarks, parked: [], outcomes: [], discarded: [] })
}

test('a backlog is begun with little, and every batch is taken once, in order', async () => {
  const queue = await backlog(90)
  const size = new TransactionSize()
  for (let round = 0; round < 20; round++) size.committed({ bytes: 16 * 2 ** 20, ms: 100, ageMs: 0 })
  const preparer = {
    prepare: async (elements: readonly Element[]) => prepareElements(elements),
    close: async () => {},
  }
  const reader = new Prefetcher(queue, { size, preparer })
  const sizes: number[] = []
  const sequences: number[] = []
  for (;;) {
    const { taken, ahead } = await reader.take()
    if (taken.elements.length === 0) break
    const { batches } = await taken.prepared
    sequences.push(...batches.map(({ sequence }) => sequence))
    sizes.push(taken.bytes)
    await commit(queue, sequences.at(-1)!)
    reader.published(ahead)
  }
  expect(sequences).toEqual(Array.from({ length: 90 }, (_, index) => index + 1))
  expect(sizes[0]).toBeLessThanOrEqual(size.next().bytesMax / 8)
  // The last one is what was left.
  const grown = sizes.slice(0, -1)
  expect(grown.length).toBeGreaterThan(3)
  expect(grown.at(-1)).toBeGreaterThan(2 * grown[0]!)
  expect(grown).toEqual(grown.toSorted((left, right) => left - right))
  for (const [index, size] of grown.entries())
    if (index > 0) expect(size / grown[index - 1]!).toBeLessThan(1.6)
})
