import { gzipSync } from 'node:zlib'
import { beforeEach, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { Flood } from '../kit/flood.ts'
import { post, RawConnection } from '../kit/raw-http.ts'
import { line } from '../kit/raw-websocket.ts'
import { TestBed } from '../kit/test-bed.ts'

/** Takes long to read, and comes in one piece: 30,000 increments, compressed. */
const bodyIncrements = 30_000
const request = post(gzipSync(`${line('long')}\n`.repeat(bodyIncrements)), {
  type: 'application/x-ndjson',
  headers: 'Content-Encoding: gzip\r\n',
})
const form = post('key=other&value=1')
const connectionCount = 60

const bed = new TestBed()
beforeEach(() => bed.start('--web-processes', '1'))

function connections(): Promise<RawConnection[]> {
  return Promise.all(Array.from({ length: connectionCount }, () => RawConnection.connect(bed.service.port)))
}

/** Each sends a long request, and then `last` is done, before the web process reads any of it. */
async function sendTogether(clients: readonly RawConnection[], last = () => {}): Promise<void> {
  const pid = bed.service.children().get('piccolo web 1')!
  await until(
    'all connections are open',
    async () => (await bed.service.metric('piccolo_connections')) > clients.length,
  )
  process.kill(pid, 'SIGSTOP')
  for (const client of clients) client.send(request)
  last()
  process.kill(pid, 'SIGCONT')
}

const total = () => Number(bed.folder.totals().get('long') ?? 0)

test('long work that comes together leaves room for other clients, and all of it is done', async () => {
  const clients = await connections()
  using other = await RawConnection.connect(bed.service.port)
  await sendTogether(clients, () => other.send(form))
  let answeredCount = 0
  const answers = clients.map(async client => {
    const { status, body } = await client.answer()
    answeredCount++
    return [status, JSON.parse(body).accepted]
  })
  expect((await other.answer()).status).toBe(200)
  expect(answeredCount).toBeLessThan(connectionCount / 2)
  expect(await Promise.all(answers)).toEqual(clients.map(() => [200, bodyIncrements]))
  await until('all of it is in the database', () => total() === connectionCount * bodyIncrements)
})

test('a request that waits for its turn is not counted when its client goes away, and harms nobody', async () => {
  const clients = await connections()
  await sendTogether(clients, () => {
    for (const client of clients) client[Symbol.dispose]()
  })
  await until(
    'the connections are closed',
    async () => (await bed.service.metric('piccolo_connections')) < 10,
  )
  await bed.service.increment('other', 1)
  await until('what was counted is in the database', () => bed.folder.totals().get('other') === '1')
  expect(total()).toBeGreaterThanOrEqual(bodyIncrements)
  expect(total()).toBeLessThan((connectionCount / 2) * bodyIncrements)
  expect(bed.service.output).not.toContain('an internal error')
})

test('a stop answers those that wait', async () => {
  const clients = await connections()
  await sendTogether(clients)
  const answers = clients.map(client => client.answer().catch(() => null))
  await answers[0]
  await bed.service.stop()
  const counted = (await Promise.all(answers)).filter(answer => answer?.status === 200)
  expect(counted.length).toBe(connectionCount)
  expect(total()).toBe(connectionCount * bodyIncrements)
})

test('short bodies are no long work: compressed or not, pipelined requests with them are never closed', async () => {
  const headers = 'Content-Encoding: gzip\r\n'
  const piece = post(gzipSync('key=usual&value=1'), { headers })
  const clients = Array.from({ length: 8 }, () => new Flood(bed.service.port, { piece, underWay: 64 }))
  try {
    await until('all go on', () => clients.every(client => client.count('answered') > 64 * 50))
    for (const client of clients)
      expect([client.count('closed'), client.count('connections')]).toEqual([0, 1])
  } finally {
    for (const client of clients) await client[Symbol.asyncDispose]()
  }
})
