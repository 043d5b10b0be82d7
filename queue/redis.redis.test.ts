import { afterAll, beforeAll, describe } from 'vitest'
import { pino } from 'pino'
import { systemClock } from '../lib/clock.ts'
import { queueContract } from '../test/queue-contract.ts'
import { RedisServer } from '../test/redis-server.ts'
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
    const queue = new RedisQueue({ url: server.url, shardIndex: 0, clock: systemClock, log })
    return { queue, dispose: () => queue.close() }
  })
})
