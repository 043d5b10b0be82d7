import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { Lifecycle } from '../../lib/process/lifecycle.ts'
import { RepeatedError } from '../../lib/process/log.ts'
import { Binding } from '../../queue/store-binding.ts'
import { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import { systemDisk } from '../handover/disk.ts'
import { listHandovers } from '../handover/handover-files.ts'
import { readElements, readManifest } from '../handover/file-reader.ts'
import { decodeBatch } from '../../batch/batch.ts'
import type { Push } from '../../queue/queue.ts'
import { producerId } from '../../test/kit/builders.ts'
import { increments } from '../../test/kit/increments.ts'
import { Folder } from '../../test/kit/service.ts'
import { BatchSender } from './batch-sender.ts'
import { Flusher } from './flusher.ts'
import { flusherPart } from './flusher-part.ts'
import { Producer } from './producer.ts'
import { AckWaiters } from './ack-waiters.ts'

const log = pino({ level: 'silent' })
const stopTimeoutMs = 200
let folder: Folder
beforeEach(() => {
  folder = new Folder()
})
afterEach(() => folder[Symbol.dispose]())

/** A flusher on a queue that does this with each push; `stop` resolves to what was written down. */
async function running(push: (push: Push) => Promise<never>) {
  const queue = new EmbeddedQueue(systemClock)
  await queue.bind('the store')
  Object.assign(queue, { push })
  const producer = new Producer(producerId(1))
  const ackWaiters = new AckWaiters(systemClock, 1_000)
  const sender = new BatchSender(producer, queue, systemClock, new RepeatedError(log, systemClock, 'no'))
  const intervals = { flushIntervalMs: 60_000, keysMax: 1_000_000 }
  const flusher = new Flusher({ sender, queue, clock: systemClock, ackWaiters, ...intervals })
  const place = { database: folder.database, stateDir: null }
  const binding = new Binding(queue)
  const lifecycle = new Lifecycle(systemClock, log)
  // Nothing is flushed before the stop.
  const start = () => binding.refresh()
  const part = { ...flusherPart({ flusher, producer, binding }, { ...place, stopTimeoutMs }, log), start }
  await lifecycle.start([part], stopTimeoutMs)
  const stop = async (): Promise<Map<string, unknown>> => {
    await lifecycle.stop(stopTimeoutMs)
    const written = new Map<string, unknown>()
    for (const { path } of await listHandovers(systemDisk, place)) {
      const file = await systemDisk.open(path)
      const manifest = await readManifest(file)
      expect(manifest.header?.store).toBe('the store')
      for await (const element of readElements(file, manifest)) {
        const { keys, sums } = decodeBatch(element)
        for (const [index, key] of keys.entries()) written.set(key, sums[index])
      }
      await file.close()
    }
    return written
  }
  return { flusher, producer, part, stop }
}

test('a stop that fails in the middle writes down what is unconfirmed, and what is not yet sealed', async () => {
  const { flusher, stop } = await running(() => Promise.reject(new Error('an internal error')))
  flusher.tryAdd(increments(['a', 1], ['b', 2]))
  expect(await stop()).toEqual(
    new Map([
      ['a', 1],
      ['b', 2],
    ]),
  )
})

test('a stop that never ends writes it down, too', async () => {
  const { flusher, part, stop } = await running(() => new Promise(() => {}))
  Object.assign(part, { stop: () => new Promise(() => {}) })
  flusher.tryAdd(increments(['a', 1]))
  expect(await stop()).toEqual(new Map([['a', 1]]))
})

test('increments that cannot be sealed keep nothing else from being written down', async () => {
  const { flusher, producer, stop } = await running(() => Promise.reject(new Error('an internal error')))
  flusher.tryAdd(increments(['a', 1]))
  const seal = producer.seal.bind(producer)
  let isFirst = true
  Object.assign(producer, {
    seal(...args: Parameters<typeof seal>) {
      if (!isFirst) return seal(...args)
      isFirst = false
      // It comes while the first batch fails.
      flusher.tryAdd(increments(['b', 2]))
      throw new Error('an assertion')
    },
  })
  expect(await stop()).toEqual(new Map([['b', 2]]))
})
