import type { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { decodeBatch } from '../../batch/batch.ts'
import { until } from '../kit/condition.ts'
import type { RedisServer } from '../kit/redis-server.ts'
import { freePort, Program } from '../kit/service.ts'
import { TestBed } from '../kit/test-bed.ts'

// Somebody else writes to what Redis remembers of a producer: nothing that was answered is lost.

const key = (name: string) => `piccolo:{0}:${name}`

const bed = new TestBed()
let redis: RedisServer
let admin: Redis
let port: number
let shared: string[]

beforeEach(async () => {
  redis = await bed.startRedis()
  admin = redis.client()
  port = await freePort()
  shared = ['--redis', redis.url, '--database', bed.folder.database]
})
afterEach(() => admin.disconnect())

function run(...args: string[]): Program {
  return bed.use(new Program([...args, ...shared]))
}

async function startWeb(flushIntervalMs: number): Promise<Program> {
  const web = run('web', '--port', String(port), '--flush-interval-ms', String(flushIntervalMs))
  await web.says(/"msg":"started"/)
  return web
}
async function startConsumer(): Promise<Program> {
  const consumer = run('consumer', '--consumer-port', '0')
  await consumer.says(/"msg":"started"/)
  return consumer
}

async function increment(ack: string): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}/increment?ack=${ack}`, {
    method: 'POST',
    body: new URLSearchParams({ key: 'foo', value: '1' }),
  })
  return [response.status, ((await response.json()) as { ack: string }).ack]
}

/** Returns the sum that the consumer would count from the list. */
async function sumInList(): Promise<number> {
  const batches = (await admin.lrange(key('batches'), 0, -1)).map(decodeBatch)
  const byName = new Map(batches.map(each => [`${each.producer} ${each.sequence}`, Number(each.sums[0])]))
  return [...byName.values()].reduce((sum, each) => sum + each, 0)
}

const handovers = () => bed.folder.files().filter(name => name.endsWith('.handover'))

async function alter(hash: string, by: number): Promise<void> {
  const [producer] = await admin.hkeys(key('alive'))
  const pushed = Number(await admin.hget(key('pushed'), producer!))
  await admin.hset(key(hash), producer!, String(pushed + by))
}

test.each([
  ['pushed', 1],
  ['applied', 1_000_000],
])('queued says what is in the list though %s is %i too high', async (hash, by) => {
  const web = await startWeb(500)
  let total = 0
  for (let round = 0; round < 3; round++) {
    expect(await increment('queued')).toEqual([200, 'queued'])
    expect(await sumInList()).toBe(++total)
    await alter(hash, by)
  }
  await web.says(/"code":"queue_altered".*something else writes/)
  await startConsumer()
  expect(await increment('committed')).toEqual([200, 'committed'])
  expect(bed.folder.totals()).toEqual(new Map([['foo', String(total + 1)]]))
  await until('readiness is back', async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok)
  expect(await web.stop()).toBe(0)
})

test.each([
  ['pushed', 1_000_000],
  ['applied', 1],
])('a stop loses nothing though %s is %i too high', async (hash, by) => {
  const web = await startWeb(60_000)
  expect(await increment('queued')).toEqual([200, 'queued'])
  for (let count = 0; count < 20; count++) expect(await increment('memory')).toEqual([200, 'memory'])
  await alter(hash, by)
  expect(await web.stop()).toBe(0)
  expect(await sumInList()).toBe(21)
  await startConsumer()
  await until('all is counted', () => admin.llen(key('batches')).then(length => length === 0))
  expect(bed.folder.totals()).toEqual(new Map([['foo', '21']]))
})

test.each([
  ['applied', 1_000_000],
  ['applied', 0],
  ['pushed', 1_000_000],
])('a hand-over file loses nothing though %s is %i too high, and the list is gone', async (hash, by) => {
  const consumer = await startConsumer()
  const web = await startWeb(100)
  expect(await increment('committed')).toEqual([200, 'committed'])
  expect(await consumer.stop()).toBe(0)
  expect(await increment('queued')).toEqual([200, 'queued'])
  redis.signal('SIGSTOP')
  expect(await increment('memory')).toEqual([200, 'memory'])
  expect([await web.stop(), handovers().length]).toEqual([0, 1])
  redis.signal('SIGCONT')
  await admin.del(key('batches'))
  await alter(hash, by)
  await startWeb(100)
  await startConsumer()
  await until('it is at home', () => handovers().length === 0)
  expect(bed.folder.totals()).toEqual(new Map([['foo', '3']]))
})

test('committed says what is in the store though applied is all that was pushed', async () => {
  const consumer = await startConsumer()
  const web = await startWeb(100)
  expect(await increment('committed')).toEqual([200, 'committed'])
  expect(await consumer.stop()).toBe(0)
  const answer = increment('committed').then(said => [said, bed.folder.totals().get('foo')])
  await until('it is in the list', async () => (await sumInList()) === 1)
  await alter('applied', 0)
  await web.says(/"code":"queue_altered"/)
  await startConsumer()
  expect(await answer).toEqual([[200, 'committed'], '2'])
})

test('watermarks that others wrote keep no consumer from its start, whichever producer they are of', async () => {
  const consumer = await startConsumer()
  const far = String(Math.floor(Date.now() / 1_000) + 10 ** 9)
  const now = String(Math.floor(Date.now() / 1_000))
  const web = await startWeb(100)
  expect(await increment('committed')).toEqual([200, 'committed'])
  expect([await web.stop(), await consumer.stop()]).toEqual([0, 0])
  for (const [producer, alive] of Object.entries({
    deadbeefdeadbeefdead: far,
    '00000001': now,
    abcdef12: '',
  })) {
    if (alive !== '') await admin.hset(key('alive'), producer, alive)
    await admin.hset(key('pushed'), producer, '7')
    await admin.hset(key('applied'), producer, '5')
  }
  const [real] = Object.keys(await admin.hgetall(key('published'))).filter(each => !each.includes('-'))
  await admin.hset(key('applied'), real!, '999999')
  const second = await startConsumer()
  expect(await admin.hget(key('applied'), real!)).toBe('1')
  await startWeb(100)
  expect(await increment('committed')).toEqual([200, 'committed'])
  expect(bed.folder.totals()).toEqual(new Map([['foo', '2']]))
  expect(await second.stop()).toBe(0)
})

test('they do not keep the first consumer of a queue from its start, either', async () => {
  await admin.hset(key('applied'), 'deadbeefdeadbeefdead', '5')
  expect(await (await startConsumer()).stop()).toBe(0)
})

test('a database that lacks what a consumer published is refused, by whichever version that was', async () => {
  const consumer = await startConsumer()
  const web = await startWeb(100)
  expect(await increment('committed')).toEqual([200, 'committed'])
  expect([await web.stop(), await consumer.stop()]).toEqual([0, 0])
  bed.folder.sql('DELETE FROM producers')
  for (const version of ['this', 'an earlier one']) {
    if (version !== 'this') await admin.del(key('published'))
    const refused = run('consumer', '--consumer-port', '0')
    expect([version, await refused.exited]).toEqual([version, 78])
    expect(refused.output).toContain('store_outdated')
  }
})
