import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pino } from 'pino'
import { systemClock } from '../lib/clock.ts'
import { until } from '../test/condition.ts'
import { contractBatchesMax, queueContract } from '../test/queue-contract.ts'
import { RedisServer } from '../test/redis-server.ts'
import { Link } from '../test/link.ts'
import { RedisQueue } from './redis.ts'

const log = pino({ level: 'silent' })
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

function queueOver(link: Link): RedisQueue {
  const url = `redis://127.0.0.1:${link.port}`
  return new RedisQueue({ url, shardIndex: 0, clock: systemClock, log })
}

test('over a slow link the consumer reads less at a time, until an answer comes in time', async () => {
  const admin = server.client()
  await admin.flushall()
  const batches = Array.from({ length: 16 }, (_, index) => `00000001 ${index + 1} ${'x'.repeat(200_000)}`)
  await admin.rpush('piccolo:{0}:batches', ...batches)
  admin.disconnect()
  await using link = await Link.to(server.socket, 500_000)
  const queue = queueOver(link)
  try {
    await queue.bind('store')
    const failures: string[] = []
    let read: string[] = []
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
test('a connection that is lost while it subscribes again harms nobody, and hints come again', async () => {
  await using link = await Link.to(server.socket)
  const queue = queueOver(link)
  let hintCount = 0
  queue.onPushed(() => hintCount++)
  const admin = server.client()
  const hear = (name: string) => {
    const before = hintCount
    return until(name, async () => {
      await admin.publish('piccolo:{0}:wake', 'pushed')
      return hintCount > before
    })
  }
  try {
    await hear('a hint is heard')
    link.cutAt('subscribe')
    link.cut()
    await until('it was lost while subscribing, three times', () => link.cutCount >= 3)
    link.cutAt(null)
    await hear('a hint is heard again')
  } finally {
    admin.disconnect()
    await queue.close()
  }
})
