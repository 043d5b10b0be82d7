import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from './condition.ts'
import { Flood } from './flood.ts'
import { post, RawConnection } from './raw-http.ts'
import { line } from './raw-websocket.ts'
import { Folder, Service } from './service.ts'

/** What takes long to read: 30,000 increments in one body. */
const bodyIncrements = 30_000
const longBody = Array.from({ length: bodyIncrements }, (_, i) => line(`k${i % 10_000}`)).join('\n')
const type = 'application/x-ndjson'
const plain = post(longBody, { type })
const compressed = post(gzipSync(longBody), { type, headers: 'Content-Encoding: gzip\r\n' })
const form = post('key=other&value=1')
const connectionCount = 60

let folder: Folder
let service: Service
beforeEach(async () => {
  folder = new Folder()
  service = await Service.start(folder, '--web-processes', '1')
})
afterEach(async () => {
  await service[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

function connections(): Promise<RawConnection[]> {
  return Promise.all(Array.from({ length: connectionCount }, () => RawConnection.connect(service.port)))
}

/** Sends all but the last byte of `request` on each, and then that byte to all of them at once. */
async function sendTogether(clients: readonly RawConnection[], request: string): Promise<void> {
  for (const client of clients) client.send(request.slice(0, -1))
  // The web process has read them when it has no more of any body to come.
  await until('all that was sent is read', async () => {
    const bytes = await service.metric('piccolo_unfinished_body_bytes')
    return request === compressed || bytes > 0.9 * connectionCount * plain.length
  })
  for (const client of clients) client.send(request.slice(-1))
}

function sum(): number {
  return [...folder.totals()].reduce((all, [key, total]) => (key === 'other' ? all : all + Number(total)), 0)
}

test.each([
  ['long bodies', plain],
  ['compressed ones', compressed],
])('%s that come together leave room for other clients, and all are counted', async (_name, request) => {
  const clients = await connections()
  using other = await RawConnection.connect(service.port)
  await sendTogether(clients, request)
  let answeredCount = 0
  const answers = clients.map(async client => {
    const { status, body } = await client.answer()
    answeredCount++
    return [status, JSON.parse(body).accepted]
  })
  other.send(form)
  expect((await other.answer()).status).toBe(200)
  expect(answeredCount).toBeLessThan(connectionCount / 2)
  expect(await Promise.all(answers)).toEqual(clients.map(() => [200, bodyIncrements]))
  await until('all of it is in the database', () => sum() === connectionCount * bodyIncrements)
  for (const client of clients) client[Symbol.dispose]()
})

test('one whose client goes away before its turn is not counted', async () => {
  const clients = await connections()
  await sendTogether(clients, plain)
  await clients[0]!.answer()
  for (const client of clients) client[Symbol.dispose]()
  await until('the connections are closed', async () => (await service.metric('piccolo_connections')) <= 1)
  await service.increment('other', 1)
  await until('what was counted is in the database', () => folder.totals().get('other') === '1')
  expect(sum()).toBeGreaterThanOrEqual(bodyIncrements)
  expect(sum()).toBeLessThan((connectionCount / 2) * bodyIncrements)
})

test('a stop answers those that wait', async () => {
  const clients = await connections()
  await sendTogether(clients, plain)
  const answers = clients.map(client => client.answer().catch(() => null))
  await answers[0]
  await service.stop()
  const counted = (await Promise.all(answers)).filter(answer => answer?.status === 200)
  expect(counted.length).toBe(connectionCount)
  expect(sum()).toBe(connectionCount * bodyIncrements)
})

test('short bodies are no long work: compressed or not, pipelined requests with them are never closed', async () => {
  const headers = 'Content-Encoding: gzip\r\n'
  const piece = post(gzipSync('key=usual&value=1'), { headers })
  const clients = Array.from({ length: 8 }, () => new Flood(service.port, { piece, underWay: 64 }))
  try {
    await until('all go on', () => clients.every(client => client.count('answered') > 64 * 50))
    for (const client of clients)
      expect([client.count('closed'), client.count('connections')]).toEqual([0, 1])
  } finally {
    for (const client of clients) await client[Symbol.asyncDispose]()
  }
})
