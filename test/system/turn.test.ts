import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { Flood, type Shape } from '../kit/flood.ts'
import { chunks, post, RawConnection, requestHead } from '../kit/raw-http.ts'
import { frame, line, opcodes, upgradeRequest } from '../kit/raw-websocket.ts'
import { TestBed } from '../kit/test-bed.ts'

/**
 * The longest wait of another client, on a machine that is busy with the flood and with other tests. Without
 * a budget it waits until the flood is over.
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
const fragment = (opcode: number) => frame('', { opcode, isFinal: false }).toString('latin1')
const get = (target: string, method = 'GET') => requestHead({ method, target })
const inChunks = (target: string) => requestHead({ target, headers: 'Transfer-Encoding: chunked\r\n' })
const badLines = post('x\n'.repeat(200), { type: 'application/x-ndjson' })
const goodLines = post(`${line(key)}\n`.repeat(1_000), { type: 'application/x-ndjson' })

/** Each of these kept everything else waiting, for as long as it went on. */
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
  ['messages', stream('', text(line(key)))],
  ['messages with one answer', stream('?answers=joined', text(line(key)))],
  ['messages that wait', stream('?ack=queued', text(line(key)))],
  ['refused messages', stream('', text('{'))],
  ['pings', stream('', text('', opcodes.ping))],
  ['pongs', stream('', text('', opcodes.pong))],
  ['a body in pieces of one byte', { opening: inChunks('/increment'), piece: chunks('x') }],
  ['a body in pieces that nobody asked for', { opening: inChunks('/nope'), piece: chunks('x') }],
  ['a body in pieces that was refused', { opening: inChunks('/increment?ack=no'), piece: chunks('x') }],
  // No handler ever hears of these.
  [
    'fragments without content',
    { ...stream('', fragment(opcodes.continuation)), first: fragment(opcodes.text) },
  ],
  ['the size of a chunk, which never ends', { opening: inChunks('/increment'), piece: '0'.repeat(4_096) }],
  ['such a size where no body is asked for', { opening: inChunks('/nope'), piece: '0'.repeat(4_096) }],
]

/** Floods of connections that are closed: a request comes behind one that still waits. */
const others: typeof floods = [
  ['requests that wait', { piece: post(`key=${key}&value=0`, { target: '/increment?ack=queued' }) }],
  ['GET /metrics', { piece: get('/metrics') }],
  ['chunked forms', { piece: `${inChunks('/increment')}${chunks(`key=${key}&value=0`)}0\r\n\r\n` }],
]

describe('while a connection floods', () => {
  const bed = new TestBed('all tests')
  beforeAll(() => bed.start('--web-processes', '1'))

  /** Resolves to the longest time that one of some requests took, which came one after the other. */
  async function longestWaitMs(requestCount: number): Promise<number> {
    using connection = await RawConnection.connect(bed.service.port)
    let longest = 0
    for (let index = 0; index < requestCount; index++) {
      const sentMs = performance.now()
      connection.send(post('key=other&value=1'))
      expect((await connection.answer()).status).toBe(200)
      longest = Math.max(longest, performance.now() - sentMs)
    }
    return longest
  }

  test.each(floods)('with %s, other clients are answered in time', async (_name, shape) => {
    await using flood = new Flood(bed.service.port, shape)
    await until('it floods', () => flood.count('sentKib') > 4_096)
    expect(await longestWaitMs(30)).toBeLessThan(waitMsMax)
    const before = flood.count('sentKib')
    await until('it goes on', () => flood.count('sentKib') > before + 4_096)
  })

  test.each(others)('with %s, other clients are answered in time', async (_name, shape) => {
    await using flood = new Flood(bed.service.port, shape)
    await until('it was closed', () => flood.count('closed') > 0)
    expect(await longestWaitMs(30)).toBeLessThan(waitMsMax)
  })

  test('several at a time, other clients are answered in time', async () => {
    await using flood = new Flood(bed.service.port, { piece: form }, 4)
    await until('all flood', () => flood.count('answered') > 4_000)
    expect(await longestWaitMs(30)).toBeLessThan(waitMsMax)
  })

  test('a client that pipelines as usual is never closed, and all that it sends is counted', async () => {
    const usual = { piece: post('key=usual&value=1') }
    const clients = [16, 64, 64].map(underWay => new Flood(bed.service.port, { ...usual, underWay }))
    try {
      await using flood = new Flood(bed.service.port, { piece: form }, 2)
      await until('it floods', () => flood.count('answered') > 4_000)
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

describe('what a connection floods with', () => {
  const bed = new TestBed()
  beforeEach(() => bed.start('--web-processes', '1'))
  const total = () => Number(bed.folder.totals().get(key) ?? 0)

  test.each([
    ['requests', { piece: form }],
    ['messages', stream('', text(line(key)))],
  ] as [string, Shape][])(
    'as %s is flushed in time: a killed web process takes no more with it than otherwise',
    async (_name, shape) => {
      await using flood = new Flood(bed.service.port, shape)
      await until('it floods', () => flood.count('answered') > 50_000)
      const before = flood.count('answered')
      // Ten flush intervals: the machine is busy.
      await new Promise(resolve => setTimeout(resolve, 1_000))
      const pid = bed.service.children().get('piccolo web 1')!
      expect(flood.count('answered')).toBeGreaterThan(before)
      process.kill(pid, 'SIGKILL')
      await until('all that was acknowledged a second before is counted', () => total() >= before)
    },
  )
})
