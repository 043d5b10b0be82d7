import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Clock, systemClock } from '../lib/clock.ts'
import { Metrics } from '../lib/process/metrics.ts'
import type { Sum } from '../batch/batch.ts'
import { encodeBatch } from '../batch/writer.ts'
import { EmbeddedQueue } from '../queue/embedded/embedded-queue.ts'
import { queueError } from '../queue/errors.ts'
import type { Publication, ReadBounds } from '../queue/queue.ts'
import { storeError } from '../store/errors.ts'
import { openSqliteStore } from '../store/sqlite/open.ts'
import type { Store } from '../store/store.ts'
import { batch, producerId } from '../test/kit/builders.ts'
import { until } from '../test/kit/condition.ts'
import { Folder } from '../test/kit/service.ts'
import { bindShard } from './bind-shard.ts'
import { Consumer } from './consumer.ts'
import { FailureDetector } from './failure-detector.ts'
import { ConsumerMetrics } from './metrics.ts'

const log = pino({ level: 'silent' })
let folder: Folder
let queue: EmbeddedQueue
let store: Store
let consumer: Consumer
let running: Promise<void>
/** Thrown by the next calls, one each. */
let publishErrors: Error[]
let commitErrors: Error[]
/** Resolved to by the next calls of `maintain`, one each. */
let maintenanceReasons: string[]

/** The elements that each read left out: more than none where it read ahead. */
let skips: number[]

class FlakyQueue extends EmbeddedQueue {
  override async read(bounds: ReadBounds): Promise<string[]> {
    skips.push(bounds.skip ?? 0)
    return super.read(bounds)
  }

  override async publish(publication: Publication): Promise<void> {
    throwNext(publishErrors)
    return super.publish(publication)
  }
}

beforeEach(() => {
  folder = new Folder()
  publishErrors = []
  commitErrors = []
  maintenanceReasons = []
  skips = []
  queue = new FlakyQueue(systemClock)
  store = openSqliteStore(folder.database, { clock: systemClock, log })
  const flaky: Store = {
    id: store.id,
    async commit(request) {
      throwNext(commitErrors)
      return store.commit(request)
    },
    maintain: async when => [...maintenanceReasons.splice(0, 1), ...(await store.maintain(when))],
    watermarks: () => store.watermarks(),
    parked: () => store.parked(),
    account: () => store.account(),
    acceptLoss: watermarks => store.acceptLoss(watermarks),
    close: () => store.close(),
  }
  const failureDetector = new FailureDetector(systemClock, 60_000, () => false)
  const metrics = new ConsumerMetrics(new Metrics('consumer'))
  consumer = new Consumer({
    queue,
    store: flaky,
    clock: systemClock,
    log,
    metrics,
    failureDetector,
  })
  running = consumer.run()
})
afterEach(async () => {
  await consumer.stop(10_000).catch(() => {})
  await running.catch(() => {})
  await store.close()
  folder[Symbol.dispose]()
})

function push(sequence: number, sums: Record<string, Sum>, producer = 1): Promise<unknown> {
  // More than any of them holds.
  const element = encodeBatch(batch({ producer, sequence, sums, sealed: sequence * 10_000 }))
  return queue.push({ producer: producerId(producer), sequence, firstUnconfirmed: 1, element })
}
const counted = (key: string, total: string) =>
  until(`${key} is ${total}`, () => folder.totals().get(key) === total)
function throwNext(errors: unknown[]): void {
  const error = errors.shift()
  if (error) throw error
}
const away = () => queueError('queue_unreachable', 'away')

test('batches become totals and leave the queue', async () => {
  await push(1, { a: 1 })
  await push(2, { a: 2 })
  await counted('a', '3')
  await until('the queue is empty', async () => (await queue.length()) === 0)
  expect(await queue.heartbeat(producerId(1), 1)).toMatchObject({ pushed: 2, applied: 2 })
})

test('when telling the queue fails, the batches are read again and change nothing', async () => {
  publishErrors = [away(), away()]
  await push(1, { a: 1 })
  await until('the queue is empty', async () => (await queue.length()) === 0)
  expect(publishErrors).toEqual([])
  expect(folder.totals().get('a')).toBe('1')
  expect(consumer.readiness().reasons).toEqual([])
})

test('when the store is busy or full, the batches stay in the queue, readiness tells, and it goes on by itself', async () => {
  commitErrors = [storeError('store_busy', 'locked'), storeError('store_full', 'no space')]
  await push(1, { a: 1 })
  await until(
    'readiness tells',
    () => consumer.readiness().reasons[0] === 'batches cannot be committed: store_full',
  )
  expect(await queue.length()).toBe(1)
  await counted('a', '1')
  await until('readiness is back', () => consumer.readiness().reasons.length === 0)
})

test('what the store cannot do between two commits is a reason while that is so', async () => {
  maintenanceReasons = ['a task cannot be done: store_full']
  await until(
    'readiness tells',
    () => consumer.readiness().reasons[0] === 'a task cannot be done: store_full',
  )
  await until('it is over', () => consumer.readiness().reasons.length === 0)
})

test('a long list becomes exact totals, read and prepared ahead, whatever fails on the way', async () => {
  const sums = (from: number) =>
    Object.fromEntries(Array.from({ length: 9_000 }, (_, index) => [`key ${(from + index) % 30_000}`, 1]))
  publishErrors = [away(), away()]
  commitErrors = [storeError('store_busy', 'locked')]
  const count = 90
  for (let sequence = 1; sequence <= count; sequence++) {
    const unusual = sequence % 29 === 0 ? { 'say "hi"': 1 } : {}
    await push(sequence, { ...sums(sequence * 7), ...unusual })
  }
  await until('the queue is empty', async () => (await queue.length()) === 0, 30_000)
  const totals = folder.totals()
  expect(totals.get('say "hi"')).toBe('3')
  totals.delete('say "hi"')
  const expected = new Map<string, number>()
  for (let sequence = 1; sequence <= count; sequence++)
    for (const key of Object.keys(sums(sequence * 7))) expected.set(key, (expected.get(key) ?? 0) + 1)
  expect(totals).toEqual(new Map([...expected].map(([key, total]) => [key, String(total)])))
  expect(skips.some(skip => skip > 0)).toBe(true)
})

test('web processes of an old and of this version feed one list, side by side', async () => {
  // Bytes as released, not as encoded here: whoever changes a format has to leave these readable.
  const [old, current] = [producerId(1), producerId(2)]
  const plain = (sequence: number, sealed: number) =>
    `${old} ${sequence} {"v":1,"oldestMs":1000,"increments":3,"sealed":${sealed},"keys":["a","b"],"sums":[5,"-9007199254740993"]}`
  const keyed = (sequence: number, sealed: number) =>
    `${current} ${sequence} {"v":2,"oldestMs":1000,"increments":2,"sealed":${sealed},"keys":["a"],"sums":[1],"keyed":[{"idempotencyKey":"order 7","fingerprint":"f","increments":1,"keys":["a"],"sums":[100]}]}`
  for (const sequence of [1, 2, 3]) {
    await queue.push({ producer: old, sequence, firstUnconfirmed: 1, element: plain(sequence, sequence * 3) })
    await queue.push({
      producer: current,
      sequence,
      firstUnconfirmed: 1,
      element: keyed(sequence, sequence * 2),
    })
  }
  await until('the queue is empty', async () => (await queue.length()) === 0)
  expect(folder.totals()).toEqual(
    new Map([
      ['a', String(3 * 5 + 3 * 1 + 100)],
      ['b', String(-9007199254740993n * 3n)],
    ]),
  )
  expect(folder.sql('SELECT sum(sealed), sum(applied), sum(duplicate) FROM producers')).toBe('15|13|2')
})

test('an error that needs a fresh process ends the consumer with its batches in the queue', async () => {
  commitErrors = [storeError('store_failed', 'disk I/O error')]
  await push(1, { a: 1 })
  await expect(running).rejects.toMatchObject({ code: 'store_failed' })
  expect(await queue.length()).toBe(1)
})

test('stopping empties the queue first', async () => {
  for (let sequence = 1; sequence <= 100; sequence++) await push(sequence, { a: 1 })
  await consumer.stop(10_000)
  expect(folder.totals().get('a')).toBe('100')
  expect(await queue.length()).toBe(0)
})

test('a stop whose time is over leaves the rest in the queue', async () => {
  const sums = Object.fromEntries(Array.from({ length: 9_000 }, (_, index) => [`key ${index}`, 1]))
  const pushes = Array.from({ length: 200 }, (_, index) => push(1 + index, sums))
  await consumer.stop(0)
  await Promise.all(pushes)
  await expect(running).resolves.toBeUndefined()
  const left = await queue.length()
  expect(left).toBeGreaterThan(0)
  expect(Number(folder.totals().get('key 1') ?? 0)).toBe(200 - left)
})

test('silence counts from the last heartbeat, by our own clock', async () => {
  let nowMs = 0
  const clock: Clock = { ...systemClock, monotonicMs: () => nowMs }
  const failureDetector = new FailureDetector(clock, 60_000, producer => producer === producerId(3))
  const id = (producer: number) => ({ producer: producerId(producer), sequence: 2 })
  await queue.heartbeat(producerId(1), 1)
  failureDetector.watch([id(1), id(2), id(3)])
  expect(await failureDetector.look(queue)).toEqual(new Set())
  nowMs = 59_999
  expect(failureDetector.isLookDue()).toBe(true)
  expect(await failureDetector.look(queue)).toEqual(new Set())
  nowMs = 60_000
  // Producer 2 never said anything; producer 3 left its batches in a file.
  expect(await failureDetector.look(queue)).toEqual(new Set([producerId(1), producerId(2)]))
  await until('the clock of the queue moved', async () => {
    await queue.heartbeat(producerId(1), 1)
    return (await failureDetector.look(queue)).size === 1
  })
  failureDetector.watch([])
  expect(await failureDetector.look(queue)).toEqual(new Set())
})

test('a shard of another store is refused', async () => {
  const other = new EmbeddedQueue(systemClock)
  await other.bind('another store')
  await expect(bindShard(other, store, { acceptOlderStore: true, log })).rejects.toMatchObject({
    code: 'queue_foreign',
  })
})

test('a store that lacks what was confirmed is refused until the loss is accepted', async () => {
  await queue.publish({ watermarks: new Map([[producerId(7), 3]]), parked: [], outcomes: [], discarded: [] })
  const bind = (acceptOlderStore: boolean) => bindShard(queue, store, { acceptOlderStore, log })
  await expect(bind(false)).rejects.toMatchObject({ code: 'store_outdated' })
  await bind(true)
  expect((await store.watermarks()).applied).toEqual(new Map([[producerId(7), 3]]))
  await bind(false)
})

test('a consumer that starts tells the queue what was given up, so that such batches are let through', async () => {
  const [watermarks, parked] = [new Map([[producerId(7), 3]]), [{ producer: producerId(7), sequence: 5 }]]
  await queue.publish({ watermarks, parked, outcomes: [], discarded: [] })
  expect(await queue.heartbeat(producerId(7), 2)).toMatchObject({ pushed: 3, applied: 3 })
  await bindShard(queue, store, { acceptOlderStore: true, log })
  const element = encodeBatch(batch({ producer: 7, sequence: 2, sums: { a: 5 } }))
  await queue.push({ producer: producerId(7), sequence: 2, firstUnconfirmed: 2, element })
  await counted('a', '5')
  expect(folder.sql('SELECT first, last FROM given_up')).toBe('1|1\n3|3')
  await until('the queue is empty', async () => (await queue.length()) === 0)
})
