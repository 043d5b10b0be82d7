import { spawn } from 'node:child_process'
import type { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { RedisServer } from '../kit/redis-server.ts'
import { Folder, Service } from '../kit/service.ts'

let folder: Folder
const cleanUps: (() => Promise<unknown>)[] = []

beforeEach(() => {
  folder = new Folder()
})
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
  folder[Symbol.dispose]()
})

async function up(...args: string[]): Promise<Service> {
  const service = await Service.start(folder, ...args)
  cleanUps.push(() => service[Symbol.asyncDispose]())
  return service
}
const readiness = async (service: Service) => {
  const response = await fetch(`${service.url}/readyz`)
  return { status: response.status, text: await response.text() }
}

/** Each spoils Redis, and says what readiness must tell; `end` fixes it. */
const troubles: {
  name: string
  code: string
  begin: (admin: Redis, other: Redis) => Promise<unknown>
  end: (admin: Redis, other: Redis) => Promise<unknown>
}[] = [
  {
    name: 'has become a replica that takes no writes',
    code: 'queue_read_only',
    begin: admin => admin.call('REPLICAOF', '127.0.0.1', '1'),
    end: admin => admin.call('REPLICAOF', 'NO', 'ONE'),
  },
  {
    name: 'has something else under the name of the list',
    code: 'queue_refused',
    begin: admin => admin.set('piccolo:{0}:batches', 'no list'),
    end: admin => admin.del('piccolo:{0}:batches'),
  },
  {
    name: 'is busy with a script that does not end',
    code: 'queue_loading',
    begin: async (admin, other) => {
      await admin.config('SET', 'busy-reply-threshold', '100')
      other.call('EVAL', 'while true do end', '0').catch(() => {})
    },
    end: admin => admin.call('SCRIPT', 'KILL'),
  },
  {
    name: 'may evict after it was reached anew',
    code: 'queue_eviction',
    begin: async admin => {
      await admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
      await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    },
    end: admin => admin.config('SET', 'maxmemory-policy', 'noeviction'),
  },
  {
    name: 'may evict while nothing else changes',
    code: 'queue_eviction',
    begin: admin => admin.config('SET', 'maxmemory-policy', 'volatile-ttl'),
    end: admin => admin.config('SET', 'maxmemory-policy', 'noeviction'),
  },
  {
    name: 'answers nobody for a while',
    code: 'queue_timeout',
    begin: admin => admin.call('CLIENT', 'PAUSE', '8000', 'ALL'),
    // It ends by itself: while it lasts, Redis does not answer a client that wants to end it.
    end: async () => {},
  },
]

test.each(troubles)(
  'Redis that $name: readiness says so, increments wait, and then count once',
  async ({ code, begin, end }) => {
    const redis = await RedisServer.start()
    cleanUps.push(() => redis[Symbol.asyncDispose]())
    const [admin, other] = [redis.client(), redis.client()]
    cleanUps.push(async () => [admin.disconnect(), other.disconnect()])
    const service = await up('--redis', redis.url, '--ack-timeout-ms', '300')
    expect(await service.increment('foo', 1)).toBe(200)
    await service.hasTotals(new Map([['foo', '1']]))
    await begin(admin, other)
    for (let count = 0; count < 20; count++) expect(await service.increment('foo', 1)).toBe(200)
    // This must be the web process's reason: the consumer may have noticed before.
    const pushed = `batches cannot be pushed: ${code}`
    await until('readiness tells', async () => (await readiness(service)).text.includes(pushed))
    expect((await readiness(service)).status).toBe(503)
    const body = new URLSearchParams({ key: 'foo', value: '1' })
    const late = await fetch(`${service.url}/increment?ack=committed`, { method: 'POST', body })
    expect([late.status, await late.json()]).toEqual([202, { accepted: 1, ack: 'memory' }])
    await end(admin, other)
    await service.hasTotals(new Map([['foo', '22']]))
    await until('readiness is back', async () => (await readiness(service)).status === 200)
    expect(service.output).toContain(code)
    expect(service.output).not.toContain('a process ended')
  },
)

test('while Redis may evict, processes that end come again, and requests are served', async () => {
  const redis = await RedisServer.start()
  cleanUps.push(() => redis[Symbol.asyncDispose]())
  const admin = redis.client()
  cleanUps.push(async () => admin.disconnect())
  const service = await up('--redis', redis.url, '--web-processes', '2')
  await admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
  await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await until('readiness tells', async () => (await readiness(service)).text.includes('queue_eviction'))
  const children = service.children()
  process.kill(children.get('piccolo consumer')!, 'SIGKILL')
  process.kill(children.get('piccolo web 1')!, 'SIGKILL')
  await service.says(/piccolo consumer: .*\[queue_eviction\]/)
  await until('both web processes run', () => service.children().has('piccolo web 1'))
  await until('the new one serves', async () => {
    const before = await service.metric('piccolo_increments_accepted_total')
    expect(await service.increment('foo', 1)).toBe(200)
    return (await service.metric('piccolo_increments_accepted_total')) === before + 1
  })
  const accepted = await service.metric('piccolo_increments_accepted_total')
  await admin.config('SET', 'maxmemory-policy', 'noeviction')
  await service.hasTotals(new Map([['foo', String(accepted)]]))
  await until('readiness is back', async () => (await readiness(service)).status === 200)
  expect(await service.stop()).toBe(0)
})

test('a queue that has become that of another database: nothing is committed, requests are served', async () => {
  const redis = await RedisServer.start()
  cleanUps.push(() => redis[Symbol.asyncDispose]())
  const admin = redis.client()
  cleanUps.push(async () => admin.disconnect())
  const service = await up('--redis', redis.url)
  expect(await service.increment('foo', 1)).toBe(200)
  await service.hasTotals(new Map([['foo', '1']]))
  const own = await admin.getset('piccolo:{0}:store', 'another')
  await service.says(/"code":"queue_foreign"/)
  process.kill(service.children().get('piccolo consumer')!, 'SIGKILL')
  await service.says(/belongs to the store another.*\[queue_foreign\]/)
  expect(await service.increment('foo', 1)).toBe(200)
  await until('it waits', async () => (await admin.llen('piccolo:{0}:batches')) === 1)
  await until('readiness tells', async () => (await readiness(service)).status === 503)
  expect(folder.totals()).toEqual(new Map([['foo', '1']]))
  await admin.set('piccolo:{0}:store', own!)
  await service.hasTotals(new Map([['foo', '2']]))
  await until('readiness is back', async () => (await readiness(service)).status === 200)
})

test('a database that another program locks: readiness says so, increments wait, and then count once', async () => {
  const service = await up()
  expect(await service.increment('foo', 1)).toBe(200)
  await service.hasTotals(new Map([['foo', '1']]))
  const shell = spawn('sqlite3', [folder.database], { stdio: ['pipe', 'pipe', 'inherit'] })
  const locked = new Promise(resolve => shell.stdout.once('data', resolve))
  shell.stdin.write("BEGIN IMMEDIATE; SELECT 'locked';\n")
  await locked
  for (let count = 0; count < 20; count++) expect(await service.increment('foo', 1)).toBe(200)
  await until('the log tells', () => service.output.includes('store_busy'))
  await until('readiness tells', async () => (await readiness(service)).status === 503)
  shell.stdin.end('ROLLBACK;\n')
  await service.hasTotals(new Map([['foo', '21']]))
  await until('readiness is back', async () => (await readiness(service)).status === 200)
  expect(service.output).not.toContain('a process ended')
})
