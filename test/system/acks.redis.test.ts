import { request } from 'node:http'
import { describe, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { RawConnection } from '../kit/raw-http.ts'
import { TestBed } from '../kit/test-bed.ts'

const bed = new TestBed()

interface Answer {
  readonly status: number
  readonly body: unknown
}

async function increment(key: string, ack?: string): Promise<Answer> {
  const target = `${bed.service.url}/increment${ack === undefined ? '' : `?ack=${ack}`}`
  const response = await fetch(target, { method: 'POST', body: new URLSearchParams({ key, value: '1' }) })
  return { status: response.status, body: await response.json() }
}
const reached = (ack: string) => ({ status: 200, body: { accepted: 1, ack } })
const late = (ack: string) => ({ status: 202, body: { accepted: 1, ack } })

describe.each(['embedded', 'redis'])('on the %s queue', kind => {
  const start = (...args: string[]) => (kind === 'redis' ? bed.startOnRedis(...args) : bed.start(...args))

  test('committed is answered when the total is in the database, long before the next flush is due', async () => {
    await start('--flush-interval-ms', '60000')
    for (let count = 1; count <= 20; count++) {
      expect(await increment('foo', 'committed')).toEqual(reached('committed'))
      expect(bed.folder.totals().get('foo')).toBe(String(count))
    }
  })

  test('requests that wait together are committed together', async () => {
    await start('--flush-interval-ms', '60000')
    const answers = await Promise.all(Array.from({ length: 500 }, () => increment('foo', 'committed')))
    for (const answer of answers) expect(answer).toEqual(reached('committed'))
    expect(bed.folder.totals().get('foo')).toBe('500')
    expect(await bed.metric('piccolo_batches_committed_total')).toBeLessThan(250)
  })

  test('queued is answered without the store; committed without it is 202, and counts when it is back', async () => {
    await start('--flush-interval-ms', '60000', '--ack-timeout-ms', '500')
    bed.signalConsumer('SIGSTOP')
    expect(await increment('foo', 'queued')).toEqual(reached('queued'))
    expect(await increment('foo', 'committed')).toEqual(late('queued'))
    expect(await bed.metric('piccolo_requests_waiting')).toBe(0)
    bed.signalConsumer('SIGCONT')
    await bed.service.hasTotals(new Map([['foo', '2']]))
  })

  test('a request without increments has nothing to wait for', async () => {
    await start('--flush-interval-ms', '60000', '--ack-timeout-ms', '60000')
    bed.signalConsumer('SIGSTOP')
    for (const ack of ['queued', 'committed']) {
      const headers = { 'Content-Type': 'application/json' }
      const target = `${bed.service.url}/increment?ack=${ack}`
      const response = await fetch(target, { method: 'POST', headers, body: '[]' })
      expect([response.status, await response.json()]).toEqual([200, { accepted: 0, ack }])
    }
    bed.signalConsumer('SIGCONT')
  })

  test('the default for requests that do not say is an option', async () => {
    await start('--flush-interval-ms', '60000', '--default-ack', 'committed')
    expect(await increment('foo')).toEqual(reached('committed'))
    expect(bed.folder.totals().get('foo')).toBe('1')
    expect(await increment('foo', 'memory')).toEqual(reached('memory'))
  })

  test('beyond the bound a request that would wait is refused and nothing of it is counted', async () => {
    await start('--waiting-max', '3', '--ack-timeout-ms', '60000')
    bed.signalConsumer('SIGSTOP')
    const waiting = Array.from({ length: 3 }, () => increment('foo', 'committed'))
    await until('three wait', async () => (await bed.metric('piccolo_requests_waiting')) === 3)
    expect(await increment('foo', 'committed')).toMatchObject({ status: 503, body: { code: 'waiting_full' } })
    expect(await increment('foo', 'memory')).toEqual(reached('memory'))
    bed.signalConsumer('SIGCONT')
    for (const answer of await Promise.all(waiting)) expect(answer).toEqual(reached('committed'))
    await bed.service.hasTotals(new Map([['foo', '4']]))
  })

  test('a client that goes away while it waits harms nobody, and its increment counts', async () => {
    await start('--ack-timeout-ms', '60000')
    bed.signalConsumer('SIGSTOP')
    const clients = Array.from({ length: 20 }, () => {
      const options = { method: 'POST', headers: { 'content-length': 15 } }
      const client = request(`${bed.service.url}/increment?ack=committed`, options)
      client.on('error', () => {})
      client.end('key=foo&value=1')
      return client
    })
    await until('all wait', async () => (await bed.metric('piccolo_requests_waiting')) === 20)
    for (const client of clients) client.destroy()
    await until('nobody waits', async () => (await bed.metric('piccolo_requests_waiting')) === 0)
    bed.signalConsumer('SIGCONT')
    expect(await increment('foo', 'committed')).toEqual(reached('committed'))
    await bed.service.hasTotals(new Map([['foo', '21']]))
    expect(await bed.service.stop()).toBe(0)
  })

  test('a stop answers who waits, and then ends', async () => {
    await start('--flush-interval-ms', '60000', '--web-processes', '1')
    const waiting = Array.from({ length: 50 }, () => increment('foo', 'committed'))
    const [answers, exitCode] = await Promise.all([Promise.allSettled(waiting), bed.service.stop()])
    expect(exitCode).toBe(0)
    const answered = answers.filter(answer => answer.status === 'fulfilled')
    for (const { value } of answered) expect(value).toEqual(reached('committed'))
    expect(Number(bed.folder.totals().get('foo') ?? 0)).toBeGreaterThanOrEqual(answered.length)
  })
})

test('while Redis is away, a request that waits is answered 202 and counts when it is back', async () => {
  const redis = await bed.startOnRedis('--ack-timeout-ms', '500')
  await redis.kill()
  expect(await increment('foo', 'queued')).toEqual(late('memory'))
  expect(await increment('foo', 'committed')).toEqual(late('memory'))
  await redis.start()
  await bed.service.hasTotals(new Map([['foo', '2']]))
  expect(await increment('foo', 'committed')).toEqual(reached('committed'))
})

test('requests on connections beyond the bound are refused until others are closed', async () => {
  await bed.start('--web-processes', '1', '--connections-max', '3')
  const others = await Promise.all([1, 2, 3].map(() => RawConnection.connect(bed.service.port)))
  // The connection that asks for the metrics is kept, too, and counts.
  const isAnswered = async (status: number, code?: string) => {
    const answer = await increment('foo')
    return (
      answer.status === status && (code === undefined || (answer.body as { code?: string }).code === code)
    )
  }
  await until('it is refused', () => isAnswered(503, 'connections_full'))
  const counted = async () => BigInt(bed.folder.totals().get('foo') ?? 0)
  expect(await counted()).toBe(0n)
  for (const each of others) each[Symbol.dispose]()
  await until('it is accepted', () => isAnswered(200))
})
