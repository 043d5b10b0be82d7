import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { TestBed } from '../kit/test-bed.ts'
import { freePort, Program } from '../kit/service.ts'

const bed = new TestBed()
const key = 'piccolo:{0}:idempotency-window'

/** Resolves to the status of the answer, and how long it says that the idempotency key is kept. */
async function send(idempotencyKey: string | null, body = 'key=foo&value=1') {
  const headers = idempotencyKey === null ? {} : { 'Idempotency-Key': idempotencyKey }
  const form = { ...headers, 'Content-Type': 'application/x-www-form-urlencoded' }
  const answer = await fetch(`${bed.service.url}/increment`, { method: 'POST', headers: form, body })
  await answer.arrayBuffer()
  return [answer.status, answer.headers.get('idempotency-window')]
}

describe.each(['embedded', 'redis'])('on the %s queue', kind => {
  const start = (...args: string[]) => (kind === 'redis' ? bed.startOnRedis(...args) : bed.start(...args))

  test('every answer to a request with an idempotency key says how long that is kept, from the first one on', async () => {
    await start('--idempotency-window', '90m', '--web-processes', '1')
    expect(await send('a')).toEqual([200, '90m'])
    expect(await send('a')).toEqual([200, '90m'])
    expect(await send('a', 'key=foo&value=2')).toEqual([422, '90m'])
    expect(await send('b', 'key=foo')).toEqual([400, '90m'])
    expect(await send(null)).toEqual([200, null])
    expect(await send(null, 'key=foo')).toEqual([400, null])
  })
})

test('the window that a consumer announced is not believed for long without it', async () => {
  const redis = await bed.startOnRedis('--web-processes', '1')
  const admin = new Redis(redis.url)
  expect(await admin.get(key)).toBe('24h')
  expect(await admin.pttl(key)).toBeGreaterThan(0)
  expect(await admin.pttl(key)).toBeLessThanOrEqual(60_000)
  admin.disconnect()
})

test('a window that cannot be read is left out, and nothing else fails', async () => {
  const redis = await bed.startOnRedis('--web-processes', '1')
  const admin = new Redis(redis.url)
  await admin.del(key)
  await admin.rpush(key, 'no text')
  expect(await send('a')).toEqual([200, null])
  await admin.set(key, '1h\r\nSet-Cookie: a=b')
  expect(await send('b')).toEqual([200, null])
  admin.disconnect()
})

test('a web process hears of the window of a consumer that starts later', async () => {
  const redis = await bed.startOnRedis('--web-processes', '1', '--idempotency-window', '2d')
  await bed.service.stop()
  const port = String(await freePort())
  const shared = ['--redis', redis.url, '--database', bed.folder.database]
  await using web = new Program(['web', '--port', port, ...shared])
  await web.says(/listening|started/)
  const consumer = ['consumer', '--consumer-port', '0', '--idempotency-window', '3d']
  await using _consumer = new Program([...consumer, ...shared])
  await until('it is heard of', async () => {
    const headers = { 'Idempotency-Key': 'z', 'Content-Type': 'application/x-www-form-urlencoded' }
    const request = { method: 'POST', headers, body: 'key=foo&value=1' }
    const answer = await fetch(`http://127.0.0.1:${port}/increment`, request).catch(() => null)
    await answer?.arrayBuffer()
    return answer?.headers.get('idempotency-window') === '3d'
  })
})
