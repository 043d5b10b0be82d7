import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { encodeBatch } from '../../batch/writer.ts'
import { RedisQueue } from '../../queue/redis/redis-queue.ts'
import { redisRights } from '../../queue/redis/rights.ts'
import { batch, producerId } from '../kit/builders.ts'
import { until } from '../kit/condition.ts'
import { FaultyLink } from '../kit/faulty-link.ts'
import { RedisServer } from '../kit/redis-server.ts'
import { Folder, Service } from '../kit/service.ts'

let server: RedisServer
let link: FaultyLink
let admin: Redis
let url: string
const producer = producerId(1)

beforeAll(async () => {
  server = await RedisServer.start()
  link = await FaultyLink.to(server.socket)
  admin = server.client()
  url = `redis://counter:pass@127.0.0.1:${link.port}`
})
afterAll(async () => {
  admin.disconnect()
  await link[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})
beforeEach(() => admin.flushall())

async function allow(rights: string): Promise<void> {
  await admin.call('ACL', 'SETUSER', 'counter', 'reset', 'on', '>pass', ...rights.split(' '))
}

/** Everything that Redis holds, in words. */
async function everything(): Promise<string> {
  const keys = (await admin.keys('*')).sort()
  const dumps = await Promise.all(keys.map(key => admin.dumpBuffer(key)))
  return JSON.stringify([keys, dumps.map(String)])
}

/** Whatever web processes and consumers do with a queue, once; what went wrong, and what the log says. */
async function useAll(url: string): Promise<{ failures: string[]; log: string }> {
  const lines: string[] = []
  const log = pino({ level: 'warn' }, { write: line => void lines.push(line) })
  const queue = new RedisQueue({ url, shardIndex: 0, clock: systemClock, log })
  const failures: string[] = []
  let hintCount = 0
  queue.onPushed(() => hintCount++)
  const element = encodeBatch(batch({ sequence: 1 }))
  const outcomes = [{ producer, sequence: 1, codes: 'a' }]
  const published = { watermarks: new Map([[producer, 1]]), parked: [], discarded: [], outcomes }
  for (const use of [
    () => queue.bind('store'),
    () => queue.watermarks(),
    () => queue.push({ producer, sequence: 1, firstUnconfirmed: 1, element }),
    () => queue.push({ producer, sequence: 1, firstUnconfirmed: 1, element }),
    () => queue.length(),
    () => queue.page(0, 1),
    () => queue.read(),
    () => queue.heartbeats([producer]),
    () => queue.publish(published),
    () => queue.heartbeat(producer, 2),
    () => queue.forget(0),
  ])
    await (use() as Promise<unknown>).catch(error => failures.push(`${error.code}: ${error.message}`))
  await until('hints come, or are forbidden', async () => {
    await admin.publish('piccolo:{0}:wake', 'pushed')
    return hintCount > 0 || lines.some(line => line.includes('SUBSCRIBE')) || failures.length > 0
  })
  await queue.close()
  return { failures, log: lines.join('') }
}

test('a user with the documented rights, and no others, can do everything', async () => {
  expect(readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')).toContain(redisRights)
  await allow(redisRights)
  expect(await useAll(url)).toEqual({ failures: [], log: '' })
  await allow(`${redisRights} +select`)
  expect(await useAll(`${url}/3`)).toEqual({ failures: [], log: '' })
})

const commands = redisRights.split(' ').filter(right => right.startsWith('+'))
const hints = ['+info', '+publish', '+subscribe', '+client|setname']

test.each(commands.filter(right => !hints.includes(right)))(
  'a user without %s hears which right is missing, and nothing is half done',
  async right => {
    await allow(`${redisRights} ${right.replace('+', '-')}`)
    await admin.hset('piccolo:{0}:alive', 'somebody', '1')
    const before = await everything()
    const { failures } = await useAll(url)
    expect(failures.length).toBeGreaterThan(0)
    for (const failure of failures)
      expect(failure).toMatch(new RegExp(`^queue_forbidden: .*\\b${right.slice(1)}\\b`, 'i'))
    // Only `verify` reads by LRANGE, and EVALSHA is used from the second time on.
    if (right === '+lrange') expect(failures).toHaveLength(1)
    else if (right !== '+evalsha') expect(await everything()).toBe(before)
  },
)

test.each([
  ['-info', 'INFO'],
  ['-publish', 'PUBLISH'],
  ['-subscribe', 'SUBSCRIBE'],
])('a user with %s can do everything else, and hears once what is missing', async (right, name) => {
  await allow(`${redisRights} ${right}`)
  const { failures, log } = await useAll(url)
  expect(failures).toEqual([])
  const lines = log
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  expect(lines).toMatchObject([{ level: 40, code: 'queue_forbidden', right: name }])
  expect(lines[0].hint).toContain(redisRights)
})

test('a user who may only read the list can look at it', async () => {
  await allow('~piccolo:* +llen +lrange')
  await admin.rpush('piccolo:{0}:batches', 'a')
  const options = { url, shardIndex: 0, clock: systemClock, log: pino({ level: 'silent' }) }
  const queue = new RedisQueue({ ...options, onlyLooks: true })
  try {
    expect([await queue.length(), await queue.page(0, 9)]).toEqual([1, ['a']])
  } finally {
    await queue.close()
  }
})

test('a user who may not name its connection is not told about it', async () => {
  await allow(`${redisRights} -client|setname`)
  expect(await useAll(url)).toEqual({ failures: [], log: '' })
})

test.each([
  ['resetkeys ~other:*', /piccolo:\{0\}:batches/],
  ['resetkeys ~piccolo:{0}:[a-o]*', /piccolo:\{0\}:pushed/],
])('a user with keys by %s hears which keys are missing', async (keys, message) => {
  await allow(`${redisRights} ${keys}`)
  const { failures } = await useAll(url)
  expect(failures[0]).toMatch(message)
  expect(failures.every(failure => failure.startsWith('queue_forbidden: '))).toBe(true)
  expect(await admin.keys('*')).toEqual([])
})

test('a user who may not select the database of the URL gets no other one', async () => {
  await allow(redisRights)
  const { failures } = await useAll(`${url}/3`)
  expect(failures.length).toBeGreaterThan(0)
  for (const failure of failures) expect(failure).toMatch(/^queue_forbidden: .*select/)
  expect(await admin.keys('*')).toEqual([])
})

test('a right that is taken away while the service runs is named, and its return is noticed', async () => {
  await allow(redisRights)
  const log = pino({ level: 'silent' })
  const queue = new RedisQueue({ url, shardIndex: 0, clock: systemClock, log })
  try {
    expect(await queue.heartbeat(producer, 1)).toMatchObject({ pushed: 0 })
    await allow(`${redisRights} -hset`)
    const element = encodeBatch(batch({ sequence: 1 }))
    const push = () => queue.push({ producer, sequence: 1, firstUnconfirmed: 1, element })
    await expect(push()).rejects.toMatchObject({ code: 'queue_forbidden' })
    await expect(push()).rejects.toThrow('HSET')
    await allow(redisRights)
    expect(await push()).toMatchObject({ pushed: 1 })
    expect(await admin.llen('piccolo:{0}:batches')).toBe(1)
  } finally {
    await queue.close()
  }
})

test('a push that may not add to the list does not say that it did', async () => {
  await allow(`${redisRights}`)
  const log = pino({ level: 'silent' })
  const queue = new RedisQueue({ url, shardIndex: 0, clock: systemClock, log })
  try {
    const push = (sequence: number) =>
      queue.push({ producer, sequence, firstUnconfirmed: 1, element: encodeBatch(batch({ sequence })) })
    await push(1)
    await allow(`${redisRights} -rpush`)
    await expect(push(2)).rejects.toMatchObject({ code: 'queue_forbidden' })
    await allow(redisRights)
    expect(await queue.heartbeat(producer, 1)).toMatchObject({ pushed: 1 })
  } finally {
    await queue.close()
  }
})

describe('the service', () => {
  test.each([
    ['with the documented rights', redisRights, []],
    ['with every command but only its keys', '+@all ~piccolo:*', ['PUBLISH', 'SUBSCRIBE']],
    [
      'with no hints and no INFO',
      `${redisRights} -info -publish -subscribe`,
      ['INFO', 'PUBLISH', 'SUBSCRIBE'],
    ],
  ])('of a user %s counts, at each level, and stays ready', async (_, rights, missing) => {
    await allow(rights)
    using folder = new Folder()
    await using service = await Service.start(folder, '--redis', url, '--web-processes', '1')
    const post = (query: string, headers = {}) =>
      fetch(`${service.url}/increment${query}`, {
        method: 'POST',
        headers,
        body: new URLSearchParams({ key: 'foo', value: '1' }),
      }).then(async response => [response.status, await response.json()])
    expect(await post('')).toEqual([200, { accepted: 1, ack: 'memory' }])
    expect(await post('?ack=queued')).toMatchObject([200, { accepted: 1 }])
    expect(await post('?ack=committed')).toEqual([200, { accepted: 1, ack: 'committed' }])
    expect(await post('', { 'Idempotency-Key': '"a"' })).toMatchObject([200, { result: 'applied' }])
    expect(await post('', { 'Idempotency-Key': '"a"' })).toMatchObject([200, { result: 'duplicate' }])
    expect((await fetch(`${service.url}/readyz`)).status).toBe(200)
    expect(await service.stop()).toBe(0)
    expect(folder.totals()).toEqual(new Map([['foo', '4']]))
    const warnings = service.output.split('\n').filter(line => line.includes('queue_forbidden'))
    const told = warnings.map(line => JSON.parse(line)).map(({ process, right }) => `${process} ${right}`)
    expect(told.sort()).toEqual(
      ['consumer', 'web 1'].flatMap(each => missing.map(right => `${each} ${right}`)),
    )
    expect(service.output).not.toContain('"level":"error"')
  })

  test('of a user who lacks a right is refused in one line that names it, and no password', async () => {
    await allow(`${redisRights} -hset`)
    using folder = new Folder()
    const failed = Service.start(folder, '--redis', url)
    await expect(failed).rejects.toThrow(/may not use HSET \[queue_forbidden\]: .*ACL SETUSER NAME resetkeys/)
    await expect(failed).rejects.not.toThrow(/right user and password/)
  })
})
