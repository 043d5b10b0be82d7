import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from './condition.ts'
import { Flood, type Shape } from './flood.ts'
import { chunks, post, RawConnection, requestHead } from './raw-http.ts'
import { frame, line, opcodes, RawWebSocket, upgradeRequest } from './raw-websocket.ts'
import { Folder, Service } from './service.ts'

/**
 * What another client may wait at most, on a machine that is busy with the flood and with other tests.
 * Without a budget it waits until the flood is over.
 */
const waitMsMax = 2_000
const key = 'flood'

function text(payload: string, opcode: number = opcodes.text): string {
  return frame(payload, { opcode }).toString('latin1')
}

function stream(query: string, piece: string): Shape {
  return { opening: upgradeRequest({ query }), piece, isStream: true }
}

const form = post(`key=${key}&value=1`)
const get = (target: string, method = 'GET') => requestHead({ method, target })
const inChunks = (target: string) => requestHead({ target, headers: 'Transfer-Encoding: chunked\r\n' })
const badLines = post('x\n'.repeat(200), { type: 'application/x-ndjson' })
const goodLines = post(`${line(key)}\n`.repeat(1_000), { type: 'application/x-ndjson' })

/** Each of these kept everything else waiting. */
const floods: [name: string, shape: Shape][] = [
  ['forms', { piece: form }],
  [
    'forms of many keys',
    { piece: Array.from({ length: 9_000 }, (_, i) => post(`key=k${i}&value=0`)).join('') },
  ],
  ['bodies of a thousand lines', { piece: goodLines }],
  ['refused forms', { piece: post('x=1') }],
  ['refused lines', { piece: badLines }],
  ['refused forms with an idempotency key', { piece: post('x=1', { headers: 'Idempotency-Key: "k"\r\n' }) }],
  ['GET /', { piece: get('/') }],
  ['HEAD /', { piece: get('/', 'HEAD') }],
  ['GET /nope', { piece: get('/nope') }],
  ['PUT /increment', { piece: get('/increment', 'PUT') }],
  ['a body in pieces of one byte', { opening: inChunks('/increment'), piece: chunks('x') }],
  ['a body in pieces that nobody asked for', { opening: inChunks('/nope'), piece: chunks('x') }],
  ['a body in pieces that was refused', { opening: inChunks('/increment?ack=no'), piece: chunks('x') }],
  ['messages', stream('', text(line(key)))],
  ['messages with one answer', stream('?answers=joined', text(line(key)))],
  ['messages that wait', stream('?ack=queued', text(line(key)))],
  ['refused messages', stream('', text('{'))],
  ['pings', stream('', text('', opcodes.ping))],
  ['pongs', stream('', text('', opcodes.pong))],
]

/** These end by themselves: a second request behind one that waits is the end of a connection. */
const others: typeof floods = [
  ['requests that wait', { piece: post(`key=${key}&value=0`, { target: '/increment?ack=queued' }) }],
  ['GET /metrics', { piece: get('/metrics') }],
  ['chunked forms', { piece: `${inChunks('/increment')}${chunks(`key=${key}&value=0`)}0\r\n\r\n` }],
]

describe('while a connection floods', () => {
  let folder: Folder
  let service: Service
  beforeAll(async () => {
    folder = new Folder()
    service = await Service.start(folder, '--web-processes', '1')
  })
  afterAll(async () => {
    await service[Symbol.asyncDispose]()
    folder[Symbol.dispose]()
  })

  /** How long the longest of some requests took that came one after the other. */
  async function longestWaitMs(requestCount: number): Promise<number> {
    using connection = await RawConnection.connect(service.port)
    let longest = 0
    for (let index = 0; index < requestCount; index++) {
      const sentMs = performance.now()
      connection.send(post('key=other&value=1'))
      expect((await connection.answer()).status).toBe(200)
      longest = Math.max(longest, performance.now() - sentMs)
    }
    return longest
  }

  test.each([...floods, ...others])('with %s, other clients are answered in time', async (_name, shape) => {
    await using flood = new Flood(service.port, shape)
    await until('it floods', () => flood.count('connections') > 0)
    expect(await longestWaitMs(30)).toBeLessThan(waitMsMax)
    // One connection more shows that the flood went on, and that something was done about it.
    await until('it was closed', () => flood.count('closed') > 0)
    expect(await longestWaitMs(5)).toBeLessThan(waitMsMax)
  })

  test('several at a time, other clients are answered in time', async () => {
    await using flood = new Flood(service.port, { piece: form }, 4)
    await until('all flood', () => flood.count('connections') >= 4)
    expect(await longestWaitMs(30)).toBeLessThan(waitMsMax)
  })

  test('a client that pipelines as usual is never closed, and all that it sends is counted', async () => {
    const usual = { piece: post('key=usual&value=1') }
    const clients = [16, 64, 64].map(underWay => new Flood(service.port, { ...usual, underWay }))
    try {
      await using flood = new Flood(service.port, { piece: form }, 2)
      await until('it was closed', () => flood.count('closed') > 3)
      const before = clients.map(client => client.count('answered'))
      await until('all go on', () =>
        clients.every((client, index) => client.count('answered') > before[index]! + 5_000),
      )
      for (const client of clients) {
        expect(client.count('closed')).toBe(0)
        expect(client.count('connections')).toBe(1)
      }
    } finally {
      for (const client of clients) await client[Symbol.asyncDispose]()
    }
  })
})

describe('a connection that is closed for it', () => {
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
  const total = () => Number(folder.totals().get(key) ?? 0)

  test.each([
    ['requests', { piece: form }],
    ['messages', stream('', text(line(key)))],
  ] as [string, Shape][])(
    'by %s takes no more with it than a killed web process does otherwise: what came since the last flush',
    async (_name, shape) => {
      await using flood = new Flood(service.port, shape)
      await until('it was closed', () => flood.count('closed') > 2)
      await until('it floods', () => flood.count('answered') > 50_000)
      const before = flood.count('answered')
      // Ten flush intervals: the machine is busy.
      await new Promise(resolve => setTimeout(resolve, 1_000))
      const pid = service.children().get('piccolo web 1')!
      expect(flood.count('answered')).toBeGreaterThan(before)
      process.kill(pid, 'SIGKILL')
      await until('all that was acknowledged a second before is counted', () => total() >= before)
    },
  )

  // Of the long ones a read has so few that uWebSockets.js keeps all their answers until its end.
  test.each([
    ['short', form, 30_000],
    ['long', post(`key=${key}&value=1&x=`.padEnd(8_000, 'x')), 4_000],
  ])('was told so, once, and its other answers are of what was counted: %s', async (_name, piece, count) => {
    let refused = 0
    let accepted = 0
    for (let tries = 0; refused === 0 && tries < 50; tries++) {
      using connection = await RawConnection.connect(service.port)
      connection.send(piece.repeat(count))
      await connection.closed()
      for (const answer of await connection.answersToEnd().catch(() => [])) {
        if (answer.status === 200) {
          accepted++
          continue
        }
        refused++
        expect(answer.status).toBe(503)
        expect(JSON.parse(answer.body).code).toBe('too_much_at_once')
        expect(answer.headers.get('connection')).toBe('close')
      }
    }
    expect(refused).toBe(1)
    await until('what was answered is counted', () => total() >= accepted)
  })

  test('as a stream has an answer for each message that was counted, and then 1013', async () => {
    using socket = await RawWebSocket.open(service.port)
    const burst = Buffer.concat(Array.from({ length: 50_000 }, () => frame(line(key))))
    for (let sent = 0; sent < 40 && !socket.isClosed; sent++) {
      socket.send(burst)
      await new Promise(resolve => setImmediate(resolve))
    }
    await socket.closed()
    expect([socket.closeCode, socket.closeReason]).toEqual([1013, 'send less at once'])
    const accepted = socket.answers.reduce((sum, answer) => sum + (answer.accepted ?? 0), 0)
    await service.hasTotals(new Map([[key, String(accepted)]]))
  })
})
