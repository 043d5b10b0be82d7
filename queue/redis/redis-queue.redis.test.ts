import type { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { batch } from '../../test/kit/builders.ts'
import { until } from '../../test/kit/condition.ts'
import { FaultyLink } from '../../test/kit/faulty-link.ts'
import { contractBatchesMax, queueContract } from '../../test/kit/queue-contract.ts'
import { RedisServer } from '../../test/kit/redis-server.ts'
import { BatchSender } from '../../intake/send/batch-sender.ts'
import { Producer } from '../../intake/send/producer.ts'
import { RepeatedError } from '../../lib/process/log.ts'
import { encodeBatch } from '../../batch/writer.ts'
import { batchBytesMax } from '../../batch/limits.ts'
import { readBytesMax } from '../limits.ts'
import type { Element } from '../../batch/batch.ts'
import { RedisQueue } from './redis-queue.ts'

const log = pino({ level: 'silent' })
const list = 'piccolo:{0}:batches'
let server: RedisServer

beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server[Symbol.asyncDispose]())

describe('the queue on Redis', () => {
  queueContract(async () => {
    const admin = server.client()
    await admin.flushall()
    admin.disconnect()
    const options = { url: server.url, shardIndex: 0, clock: systemClock, log }
    const queue = new RedisQueue({ ...options, batchesMax: contractBatchesMax })
    return { queue, dispose: () => queue.close() }
  })
})

function queueOver(link: FaultyLink): RedisQueue {
  const url = `redis://127.0.0.1:${link.port}`
  return new RedisQueue({ url, shardIndex: 0, clock: systemClock, log })
}

test('over a slow link the consumer reads less at a time, until an answer comes in time', async () => {
  const admin = server.client()
  await admin.flushall()
  const batches = Array.from({ length: 16 }, (_, index) => `00000001 ${index + 1} ${'x'.repeat(200_000)}`)
  await admin.rpush(list, ...batches)
  admin.disconnect()
  await using link = await FaultyLink.to(server.socket, { back: 500_000 })
  const queue = queueOver(link)
  try {
    await queue.bind('store')
    const failures: string[] = []
    let read: Element[] = []
    await until('a read comes in time', async () => {
      read = await queue.read().catch(error => {
        failures.push(error.code)
        return []
      })
      return read.length > 0
    })
    expect(failures).toContain('queue_timeout')
    expect(read.length).toBeLessThan(batches.length)
    expect(read).toEqual(batches.slice(0, read.length))
  } finally {
    await queue.close()
  }
})

// A rejection that nobody handles would end a web process, and fails this run.
test('a connection that is lost while it subscribes again harms nobody, and wake-ups come again', async () => {
  await using link = await FaultyLink.to(server.socket)
  const queue = queueOver(link)
  let wakeUpCount = 0
  queue.onPushed(() => wakeUpCount++)
  const admin = server.client()
  const hear = (name: string) => {
    const before = wakeUpCount
    return until(name, async () => {
      await admin.publish('piccolo:{0}:wake', 'pushed')
      return wakeUpCount > before
    })
  }
  try {
    await hear('a wake-up is heard')
    link.cutAt('subscribe')
    link.cut()
    await until('it was lost while subscribing, three times', () => link.cutCount >= 3)
    link.cutAt(null)
    await hear('a wake-up is heard again')
  } finally {
    admin.disconnect()
    await queue.close()
  }
})

/** A producer with two batches of nearly a mebibyte, each with `marker` in it, and who carries them. */
function senderOver(queue: RedisQueue, marker = 'k'): BatchSender {
  const producer = new Producer('00000001')
  for (let sequence = 1; sequence <= 2; sequence++)
    producer.seal(id => {
      const sums = { [marker.padEnd(batchBytesMax - 1_000, 'k')]: 1 }
      return encodeBatch({ ...batch({ sequence, sums }), ...id })
    }, 0)
  return new BatchSender(producer, queue, systemClock, new RepeatedError(log, systemClock, 'away'))
}

async function deliverAll(sender: BatchSender): Promise<void> {
  await until('all is pushed', async () => (await sender.deliver()) && sender.producer.isAllPushed, 40_000)
}

test('pushes whose answers never come are made once each: the next question shows that they took effect', async () => {
  const admin = server.client()
  await admin.flushall()
  await using link = await FaultyLink.to(server.socket)
  const queue = queueOver(link)
  try {
    link.muteAt('answer me not')
    await deliverAll(senderOver(queue, 'answer me not'))
    expect(link.muteCount).toBe(2)
    expect(await admin.llen(list)).toBe(2)
  } finally {
    admin.disconnect()
    await queue.close()
  }
}, 60_000)

test('over a link on which a batch takes longer than a call may, it gets through', async () => {
  const admin = server.client()
  await admin.flushall()
  await using link = await FaultyLink.to(server.socket, { there: 350_000 })
  const queue = queueOver(link)
  try {
    await deliverAll(senderOver(queue))
    expect(await admin.llen(list)).toBe(2)
    expect((await queue.heartbeat('00000001', 1)).pushed).toBe(2)
  } finally {
    admin.disconnect()
    await queue.close()
  }
}, 60_000)

test('over such a link the consumer reads one at a time, however long that takes', async () => {
  const admin = server.client()
  await admin.flushall()
  const batches = [1, 2].map(sequence => `00000001 ${sequence} ${'x'.repeat(batchBytesMax)}`)
  await admin.rpush(list, ...batches)
  admin.disconnect()
  await using link = await FaultyLink.to(server.socket, { back: 350_000 })
  const queue = queueOver(link)
  try {
    await queue.bind('store')
    let read: Element[] = []
    await until('a read comes in time', async () => {
      read = await queue.read({ bytesMax: readBytesMax }).catch(() => [])
      return read.length > 0
    })
    expect(read).toEqual(batches.slice(0, read.length))
  } finally {
    await queue.close()
  }
}, 60_000)

test('an error keeps its code and its words, whatever the password is', async () => {
  const admin = server.client()
  await using link = await FaultyLink.to(server.socket)
  await admin.call('ACL', 'SETUSER', 'odd', 'on', '>Redis', '~*', '&*', '+@all')
  await admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
  const url = `redis://odd:Redis@127.0.0.1:${link.port}`
  const queue = new RedisQueue({ url, shardIndex: 0, clock: systemClock, log })
  const wrong = new RedisQueue({
    url: url.replace(':Redis', ':WRONGPASS'),
    shardIndex: 0,
    clock: systemClock,
    log,
  })
  try {
    const message = expect.stringMatching(/^Redis has maxmemory-policy allkeys-lru/)
    await expect(queue.connect()).rejects.toMatchObject({ code: 'queue_eviction', message })
    await expect(wrong.connect()).rejects.toMatchObject({ code: 'queue_credentials' })
  } finally {
    await admin.config('SET', 'maxmemory-policy', 'noeviction')
    admin.disconnect()
    await queue.close()
    await wrong.close()
  }
})

test('a Redis that may evict is refused at the first contact, and is an error that passes later', async () => {
  const admin = server.client()
  await admin.flushall()
  await admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
  const options = { url: server.url, shardIndex: 0, clock: systemClock, log }
  const [first, running, restarted] = [{}, {}, { isRestart: true }].map(
    own => new RedisQueue({ ...options, ...own }),
  ) as [RedisQueue, RedisQueue, RedisQueue]
  const refusal = (retry: string) => ({ code: 'queue_eviction', policy: { retry } })
  try {
    await expect(first.connect()).rejects.toMatchObject(refusal('never'))
    await expect(restarted.connect()).rejects.toMatchObject(refusal('later'))
    await admin.config('SET', 'maxmemory-policy', 'noeviction')
    await running.connect()
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await until('it is noticed', async () => {
      const error = await running.length().catch(each => each)
      return error.code === 'queue_eviction' && error.policy.retry === 'later'
    })
    await admin.config('SET', 'maxmemory-policy', 'noeviction')
    expect(await running.length()).toBe(0)
  } finally {
    admin.disconnect()
    for (const queue of [first, running, restarted]) await queue.close()
  }
})

test('a stop misses a batch that came back from being given up, and one that is far from the end of a long list', async () => {
  const admin = server.client()
  await admin.flushall()
  await using link = await FaultyLink.to(server.socket)
  const queue = queueOver(link)
  const [producer, highest] = ['00000001', 3]
  const push = (sequence: number, firstUnconfirmed: number) => {
    const element = encodeBatch(batch({ producer: 1, sequence }))
    return queue.push({ producer, sequence, firstUnconfirmed, element, highest })
  }
  try {
    await queue.bind('store')
    for (const sequence of [1, 2, 3]) await push(sequence, 1)
    const givenUp = new Map([[producer, [{ first: 2, last: 2 }]]])
    await queue.publish({
      watermarks: new Map([[producer, 3]]),
      parked: [],
      outcomes: [],
      discarded: [],
      givenUp,
    })
    await admin.del(list)
    await push(2, 2)
    await admin.rpush(list, 'other 1 {}')
    expect((await queue.heartbeat(producer, 2, highest, true)).givenUp?.queued).toEqual(new Set([2]))
    await admin.lpop(list)
    expect((await queue.heartbeat(producer, 2, highest)).givenUp?.queued).toEqual(new Set([2]))
    const looked = await queue.heartbeat(producer, 2, highest, true)
    expect(looked.givenUp).toEqual({ ranges: [{ first: 2, last: 2 }], queued: new Set() })
    expect(await push(4, 2)).toMatchObject({ pushed: 4 })
    await admin.rpush(list, ...Array.from({ length: 2_500 }, (_, index) => `other ${index + 2} {}`))
    expect(await queue.heartbeat(producer, 4, 4, true)).toMatchObject({ pushed: 3 })
  } finally {
    admin.disconnect()
    await queue.close()
  }
})

test.each<[name: string, lose: (admin: Redis) => Promise<unknown>]>([
  ['list', admin => admin.del(list)],
  ['first batch', admin => admin.lpop(list)],
  ['last batch', admin => admin.rpop(list)],
  [
    'first batch, behind which others have come,',
    admin => admin.multi().lpop(list).rpush(list, 'other 2 {}').exec(),
  ],
])(
  'a %s that vanished is missed at the stop, whatever else Redis still remembers',
  async (_name, lose) => {
    const admin = server.client()
    await admin.flushall()
    await using link = await FaultyLink.to(server.socket)
    const queue = queueOver(link)
    const sender = senderOver(queue)
    try {
      await deliverAll(sender)
      const pushed = await admin.lrange(list, 0, -1)
      await lose(admin)
      expect(await sender.handOn()).toBe(false)
      await deliverAll(sender)
      expect(await admin.lrange(list, 0, -1)).toEqual(expect.arrayContaining(pushed))
      expect(await sender.handOn()).toBe(true)
    } finally {
      admin.disconnect()
      await queue.close()
    }
  },
  60_000,
)
