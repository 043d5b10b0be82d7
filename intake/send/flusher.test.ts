import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { RepeatedError } from '../../lib/process/log.ts'
import { type Batch, decodeBatch } from '../../batch/batch.ts'
import { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import { batchKeysMax, sliceKeysMax, windowBatchesMax } from '../../batch/limits.ts'
import { queueError } from '../../queue/errors.ts'
import type { Position, Push } from '../../queue/queue.ts'
import { until } from '../../test/kit/condition.ts'
import { increment, increments } from '../../test/kit/increments.ts'
import { Accumulator } from '../count/accumulator.ts'
import { BatchSender } from './batch-sender.ts'
import { Flusher } from './flusher.ts'
import { Producer } from './producer.ts'
import { slicesMax } from './batch-cutter.ts'
import { AckWaiters } from './ack-waiters.ts'

/** An embedded queue that can be away, and that loses every other answer, or each to a push, if told to. */
class FlakyQueue extends EmbeddedQueue {
  override durable = false
  isAway = false
  delayMs = 0
  losesAnswers = false
  losesPushAnswers = false
  /** Sequences, in the order in which they came. */
  readonly tried: number[] = []

  override async push(push: Push): Promise<Position> {
    if (this.delayMs > 0) await new Promise(resolve => setTimeout(resolve, this.delayMs))
    if (this.isAway) throw this.#away()
    const position = await super.push(push)
    this.tried.push(push.sequence)
    if (this.losesPushAnswers || (this.losesAnswers && this.tried.length % 2 === 1)) throw this.#away()
    return position
  }
  override async heartbeat(producer: string, firstUnconfirmed: number): Promise<Position> {
    if (this.isAway) throw this.#away()
    return super.heartbeat(producer, firstUnconfirmed)
  }
  #away(): Error {
    return queueError('queue_unreachable', 'away')
  }
}

let queue: FlakyQueue
let flusher: Flusher
let producer: Producer
let error: RepeatedError

function make(options: { keysMax?: number; batchesMax?: number } = {}): void {
  queue = new FlakyQueue(systemClock, options.batchesMax)
  producer = new Producer('00000001')
  error = new RepeatedError(pino({ level: 'silent' }), systemClock, 'away')
  const sender = new BatchSender(producer, queue, systemClock, error)
  flusher = new Flusher({
    sender,
    queue,
    clock: systemClock,
    flushIntervalMs: 10,
    keysMax: options.keysMax ?? 1_000_000,
    ackWaiters: new AckWaiters(systemClock, 5_000),
  })
}
beforeEach(() => make())
afterEach(async () => {
  queue.isAway = false
  const draining = flusher.drain(5_000)
  await consumeUntil(draining)
})

/** Stands in for the consumer: confirms everything. */
async function consume(into: Batch[] = []): Promise<Batch[]> {
  for (const element of await queue.read()) {
    const batch = decodeBatch(element)
    if (!into.some(known => known.sequence === batch.sequence)) into.push(batch)
    await queue.publish({
      watermarks: new Map([[batch.producer, batch.sequence]]),
      parked: [],
      outcomes: [],
      discarded: [],
    })
  }
  return into
}
async function consumeUntil<T>(done: Promise<T>): Promise<T> {
  let isDone = false
  const ended = done.finally(() => {
    isDone = true
  })
  while (!isDone) {
    await consume()
    await new Promise(resolve => setTimeout(resolve, 1))
  }
  return ended
}
/** One batch is in the queue, its producer knows it, and nothing is confirmed. */
async function pushOne(): Promise<void> {
  flusher.tryAdd(increment('a', 1))
  flusher.start()
  await until('it is pushed', () => producer.unconfirmed.length === 1 && producer.isAllPushed)
}
function sumsOf(batches: readonly Batch[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const { keys, sums: values } of batches)
    for (const [index, key] of keys.entries()) sums[key] = (sums[key] ?? 0) + Number(values[index])
  return sums
}

test('the increments of one interval become one batch with its counts', async () => {
  flusher.tryAdd(increment('a', 2))
  flusher.tryAdd(increment('a', 3))
  flusher.tryAdd(increment('b', -1))
  flusher.start()
  await until('it is pushed', async () => (await queue.length()) === 1)
  const [batch] = await consume()
  expect(batch).toMatchObject({ sequence: 1, increments: 3, sealed: 3, keys: ['a', 'b'], sums: [5, -1] })
  await until('it is confirmed', () => flusher.oldestAgeMs() === 0)
})

test('accumulators take turns while increments come, and are given back when none do', async () => {
  const cleared = vi.spyOn(Accumulator.prototype, 'tryClear')
  flusher.start()
  const received: Batch[] = []
  let count = 0
  await until('one was filled again', async () => {
    flusher.tryAdd(increment(`key ${count++ % 50}`, 1))
    await consume(received)
    return cleared.mock.calls.length > 3
  })
  await until('all is confirmed', async () => {
    await consume(received)
    return flusher.oldestAgeMs() === 0
  })
  expect(Object.values(sumsOf(received)).reduce((sum, each) => sum + each, 0)).toBe(count)
  // Between two increments nothing is there to be kept.
  await until('nothing is kept', async () => {
    cleared.mockClear()
    flusher.tryAdd(increment('last', 1))
    count++
    await until('it is confirmed', async () => {
      await consume(received)
      return flusher.oldestAgeMs() === 0
    })
    await new Promise(resolve => setTimeout(resolve, 25))
    return cleared.mock.calls.length === 0
  })
  cleared.mockRestore()
})

test('while nothing comes, nothing is pushed', async () => {
  flusher.start()
  await until(
    'some intervals passed',
    async () => (await queue.heartbeats(['00000001'])).get('00000001') !== '',
  )
  expect(await queue.length()).toBe(0)
})

test('while the queue is away, increments merge in memory, and arrive once when it is back', async () => {
  flusher.start()
  queue.isAway = true
  const startedMs = performance.now()
  let count = 0
  await until('a dozen intervals passed', () => {
    flusher.tryAdd(increment('a', 1))
    count++
    return performance.now() - startedMs > 120
  })
  expect(flusher.keyCount).toBe(1)
  expect(producer.unconfirmed.length).toBeLessThanOrEqual(1)
  expect(flusher.oldestAgeMs()).toBeGreaterThan(100)
  queue.isAway = false
  const received: Batch[] = []
  await until('all arrived', async () => sumsOf(await consume(received)).a === count)
})

test('lost answers make no batch count twice', async () => {
  flusher.start()
  queue.losesAnswers = true
  const received: Batch[] = []
  for (let round = 1; round <= 5; round++) {
    flusher.tryAdd(increment('a', 1))
    await until('it arrived', async () => sumsOf(await consume(received)).a === round)
  }
  queue.losesAnswers = false
})

test('while no push is ever answered, each is made once, and everything is confirmed', async () => {
  flusher.start()
  queue.losesPushAnswers = true
  const received: Batch[] = []
  for (let round = 1; round <= 3; round++) {
    flusher.tryAdd(increment('a', 1))
    await until('it arrived', async () => sumsOf(await consume(received)).a === round)
    await until('it is confirmed', () => flusher.oldestAgeMs() === 0)
  }
  expect(queue.tried).toEqual([1, 2, 3])
  queue.losesPushAnswers = false
})

test('a consumer that stands still closes the window, and increments merge instead', async () => {
  flusher.start()
  let sent = 0
  await until('the window is full', () => {
    flusher.tryAdd(increment('a', 1))
    sent++
    return producer.unconfirmed.length === windowBatchesMax
  })
  for (let extra = 0; extra < 100; extra++) flusher.tryAdd(increment('a', 1))
  sent += 100
  const heardAt = (await queue.heartbeats(['00000001'])).get('00000001')
  await until(
    'more intervals passed',
    async () => (await queue.heartbeats(['00000001'])).get('00000001') !== heardAt,
  )
  expect(producer.unconfirmed).toHaveLength(windowBatchesMax)
  const received: Batch[] = []
  await until('all arrived', async () => sumsOf(await consume(received)).a === sent)
})

test('a new key beyond the bound is refused, a known one is not, and several are taken all or none', () => {
  make({ keysMax: 2 })
  expect(flusher.tryAdd(increment('a', 1))).toBe(true)
  expect(flusher.tryAdd(increments(['b', 1], ['c', 1]))).toBe(false)
  expect(flusher.tryAdd(increments(['b', 1], ['b', 1], ['a', 1], ['a', 1]))).toBe(true)
  expect(flusher.tryAdd(increment('c', 1))).toBe(false)
  expect(flusher.tryAdd(increment('b', 1))).toBe(true)
  expect(flusher.incrementsAccepted).toBe(6)
})

test('a large interval is cut into batches that hold everything once, with exact counts', async () => {
  const keyCount = 2 * batchKeysMax + 5
  for (let index = 0; index < keyCount; index++) flusher.tryAdd(increment(`key ${index}`, 1))
  flusher.tryAdd(increment('key 0', 1))
  flusher.start()
  const received: Batch[] = []
  await until('all arrived', async () => (await consume(received)).length === 3)
  expect(received.map(({ keys }) => keys.length)).toEqual([batchKeysMax, batchKeysMax, 5])
  expect(received.map(({ increments, sealed }) => [increments, sealed])).toEqual([
    [batchKeysMax + 1, batchKeysMax + 1],
    [batchKeysMax, 2 * batchKeysMax + 1],
    [5, keyCount + 1],
  ])
})

test('however many keys a flush has, requests are served after every few thousand of them', async () => {
  const keyCount = 1_000_000
  for (let index = 0; index < keyCount; index++) flusher.tryAdd(increment(`key ${index}`, 1))
  let keyCountBefore = keyCount
  let longest = 0
  let isOver = false
  const look = () => {
    longest = Math.max(longest, keyCountBefore - flusher.keyCount)
    keyCountBefore = flusher.keyCount
    if (!isOver) setImmediate(look)
  }
  look()
  flusher.start()
  let confirmedKeyCount = 0
  await until('all is confirmed', async () => {
    for (const { keys } of await consume()) confirmedKeyCount += keys.length
    return flusher.keyCount === 0 && producer.unconfirmed.length === 0
  })
  isOver = true
  expect(confirmedKeyCount).toBe(keyCount)
  // A turn may see the end of one batch and the beginning of the next.
  expect(longest).toBeLessThanOrEqual((slicesMax + 1) * sliceKeysMax)
}, 60_000)

test('where turns of the event loop are long, a batch takes fewer of them', async () => {
  const sliceCount = 200
  for (let index = 0; index < sliceCount * sliceKeysMax; index++) flusher.tryAdd(increment(`key ${index}`, 1))
  let turnCount = 0
  const takeLong = () => {
    turnCount++
    const endMs = performance.now() + 10
    while (performance.now() < endMs);
    if (flusher.keyCount > 0) setImmediate(takeLong)
  }
  setImmediate(takeLong)
  flusher.start()
  await until('all is sealed', () => flusher.keyCount === 0)
  expect(turnCount).toBeLessThan(sliceCount / 2)
})

test('draining in the middle of a batch seals every key once', async () => {
  const keyCount = batchKeysMax + 2 * sliceKeysMax
  for (let index = 0; index < keyCount; index++) flusher.tryAdd(increment(`key ${index}`, 1))
  flusher.start()
  await until('a batch is begun', () => flusher.keyCount < keyCount)
  expect(producer.unconfirmed).toEqual([])
  expect(flusher.keyCount).toBeGreaterThan(2 * sliceKeysMax)
  flusher.tryAdd(increment('one more', 1))
  const drained = flusher.drain(10_000)
  const batches = producer.unconfirmed.map(({ element }) => decodeBatch(element))
  expect(batches.map(({ keys }) => keys.length)).toEqual([batchKeysMax, 2 * sliceKeysMax, 1])
  expect(new Set(batches.flatMap(({ keys }) => keys)).size).toBe(keyCount + 1)
  expect(batches.at(-1)!.sealed).toBe(keyCount + 1)
  await consumeUntil(drained)
})

test('draining seals everything and waits until it is safe', async () => {
  flusher.tryAdd(increment('a', 1))
  const drained = flusher.drain(10_000)
  const received: Batch[] = []
  await until('it is pushed', async () => (await consume(received)).length === 1)
  expect(await drained).toBe(true)
  expect(producer.unconfirmed).toEqual([])
})

test('draining while the queue is away gives up at its deadline and keeps everything', async () => {
  flusher.tryAdd(increment('a', 1))
  queue.isAway = true
  expect(await flusher.drain(50)).toBe(false)
  expect(producer.unconfirmed).toHaveLength(1)
})

test('a queue that forgot what it had gets it again before draining calls it safe', async () => {
  queue.durable = true
  await pushOne()
  const [element] = await queue.read()
  const nothing = { watermarks: new Map(), parked: [], outcomes: [] }
  await queue.publish({ ...nothing, discarded: [element!] })
  expect(await flusher.drain(5_000)).toBe(true)
  expect(await queue.read()).toEqual([element])
})

test('batches that the queue had before it became unreachable are not safe', async () => {
  queue.durable = true
  await pushOne()
  queue.isAway = true
  expect(await flusher.drain(50)).toBe(false)
  expect(producer.unconfirmed).toHaveLength(1)
})

test('draining does not wait for a call that hangs, and keeps everything, sealed', async () => {
  queue.delayMs = 1_000
  for (let count = 0; count < 5; count++) {
    flusher.tryAdd(increment(`key ${count}`, 1))
    flusher.start()
    await new Promise(resolve => setTimeout(resolve, 15))
  }
  expect(await flusher.drain(50)).toBe(false)
  expect(flusher.keyCount).toBe(0)
  const held = producer.unconfirmed.flatMap(({ element }) => decodeBatch(element).keys)
  expect(held).toEqual(['key 0', 'key 1', 'key 2', 'key 3', 'key 4'])
  queue.delayMs = 0
})

test('a list that is too long takes no more, says so, and takes everything once it has room', async () => {
  make({ batchesMax: 2 })
  flusher.start()
  for (let batchCount = 1; batchCount <= 3; batchCount++) {
    flusher.tryAdd(increment('foo', 10 ** batchCount))
    await until('it is sealed', () => producer.unconfirmed.length === batchCount)
  }
  await until('the reason is told', () => error.code === 'queue_long')
  expect(await queue.length()).toBe(2)
  const batches: Batch[] = []
  await until('everything came', async () => (await consume(batches)).length === 3)
  expect(batches.flatMap(({ sums }) => sums)).toEqual([10, 100, 1_000])
  await until('the reason is gone', () => error.code === null)
})
