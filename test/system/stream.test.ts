import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { post, RawConnection } from '../kit/raw-http.ts'
import {
  frame,
  line,
  opcodes,
  RawWebSocket,
  type UpgradeParts,
  upgradeRequest,
} from '../kit/raw-websocket.ts'
import { TestBed } from '../kit/test-bed.ts'
import { until } from '../kit/condition.ts'

const bodyBytesMax = 4_096

const bed = new TestBed('all tests')
const streams: RawWebSocket[] = []

beforeAll(() => {
  const bound = ['--body-bytes-max', String(bodyBytesMax)]
  return bed.start('--web-processes', '1', '--ack-timeout-ms', '60000', ...bound)
})
afterEach(() => {
  for (const stream of streams.splice(0)) stream[Symbol.dispose]()
})

async function open(parts: UpgradeParts = {}): Promise<RawWebSocket> {
  const stream = await RawWebSocket.open(bed.service.port, parts)
  streams.push(stream)
  return stream
}

const total = (key: string) => bed.folder.totals().get(key) ?? '0'
async function becomes(key: string, value: number): Promise<void> {
  await until(`the total of ${key} is ${value}`, () => total(key) === String(value)).catch(error => {
    throw new Error(`${error.message}, is ${total(key)}`)
  })
}

describe('messages', () => {
  test('each has its answer, with its number, in their order', async () => {
    const stream = await open()
    stream.sendLines(line('order'), `${line('order', -5)}\n${line('order', 7)}\n`, '', line('order', 10))
    expect(await stream.answered(4)).toEqual([
      { message: 1, accepted: 1, ack: 'memory' },
      { message: 2, accepted: 2, ack: 'memory' },
      { message: 3, accepted: 0, ack: 'memory' },
      { message: 4, accepted: 1, ack: 'memory' },
    ])
    await becomes('order', 13)
  })

  test('one without increments has nothing to wait for', async () => {
    for (const answers of ['single', 'joined']) {
      const stream = await open({ query: `?ack=committed&answers=${answers}` })
      stream.sendLines('', '\n\n')
      const [first, second] = await stream.answered(2)
      expect([first, second]).toMatchObject([
        { message: 1, accepted: 0, ack: 'committed' },
        { message: 2, accepted: 0, ack: 'committed' },
      ])
    }
  })

  test('the client of Node opens one, too', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${bed.service.port}/stream?ack=committed`)
    const answer = new Promise(resolve => {
      socket.onmessage = event => resolve(JSON.parse(event.data))
    })
    socket.onopen = () => socket.send(line('node', 3))
    expect(await answer).toEqual({ message: 1, accepted: 1, ack: 'committed' })
    expect(total('node')).toBe('3')
    const closed = new Promise<{ code: number }>(resolve => {
      socket.onclose = resolve
    })
    socket.close(1000)
    expect((await closed).code).toBe(1000)
  })

  test('a refused one is answered with what HTTP says, counts nothing and harms no other', async () => {
    const stream = await open()
    stream.sendLines(line('good'), `${line('bad')}\n{"key":""}\n`, '{"key":"bad","value":01}', line('good'))
    const [first, second, third, fourth] = await stream.answered(4)
    expect([first!.accepted, fourth!.accepted]).toEqual([1, 1])
    expect(second).toMatchObject({ message: 2, status: 400, code: 'increments_refused' })
    expect(second!.errors).toMatchObject([{ line: 2, code: 'key_missing' }])
    expect(third).toMatchObject({ message: 3, status: 400, code: 'increments_refused' })
    await becomes('good', 2)
    expect(total('bad')).toBe('0')
  })

  test('one may be whatever is a body of JSON over HTTP', async () => {
    const stream = await open()
    stream.sendLines(`[${line('any')},${line('any')}]`, line('any') + line('any'), `\uFEFF${line('any')}`)
    stream.sendLines('{"key":"any","value":"5"}', '{\n"key":"any",\n"value":5.0}', `${line('any')}{}`)
    const answers = await stream.answered(6)
    expect(answers.map(({ accepted }) => accepted)).toEqual([2, 2, 1, 1, 1, undefined])
    expect(answers[5]!.errors).toMatchObject([{ line: 1, object: 2, code: 'key_missing' }])
    await becomes('any', 15)
  })

  test('values are as exact as over HTTP', async () => {
    const stream = await open()
    const values = ['9007199254740991', '-9007199254740991', '999999999999999', '-0', '7']
    stream.sendLines(...values.map(value => `{"key": "exact", "value": ${value}}`))
    stream.sendLines('{"key":"exact","value":9007199254740992}', '{"key":"exact","value":1.5}')
    const answers = await stream.answered(7)
    expect(answers.map(answer => answer.accepted ?? answer.errors![0]!.code)).toEqual([
      ...[1, 1, 1, 1, 1],
      'value_out_of_range',
      'value_not_integer',
    ])
    await becomes('exact', 999999999999999 + 7)
  })

  test('bytes of a binary message are read like those of text', async () => {
    const stream = await open()
    stream.send(frame(line('binär', 4), { opcode: opcodes.binary }))
    stream.send(frame(Buffer.from('{"key":"\xff","value":1}', 'latin1'), { opcode: opcodes.binary }))
    const answers = await stream.answered(2)
    expect(answers[0]).toEqual({ message: 1, accepted: 1, ack: 'memory' })
    expect(answers[1]!.errors![0]!.code).toBe('key_not_utf8')
    await becomes('binär', 4)
  })

  test('one in fragments, with a ping between them, is one message', async () => {
    const stream = await open()
    const [head, tail] = [line('parts').slice(0, 9), line('parts').slice(9)]
    stream.send(frame(head, { isFinal: false }), frame('hello', { opcode: opcodes.ping }))
    stream.send(frame(tail, { opcode: opcodes.continuation }), frame(line('parts')))
    expect((await stream.answered(2)).map(({ message }) => message)).toEqual([1, 2])
    expect(stream.pongs).toEqual(['hello'])
    await becomes('parts', 2)
  })

  test('frames may come byte by byte', async () => {
    const stream = await open()
    for (const byte of Buffer.concat([frame(line('bytes')), frame(line('bytes', 2))])) {
      stream.send(Buffer.of(byte))
      await new Promise(resolve => setImmediate(resolve))
    }
    await stream.answered(2)
    await becomes('bytes', 3)
  })

  test('one beyond the bound is refused, one beyond twice the bound ends the stream', async () => {
    const stream = await open()
    const padded = (bytes: number) => line('size').padEnd(bytes, ' ')
    stream.sendLines(padded(bodyBytesMax), padded(bodyBytesMax + 1), padded(2 * bodyBytesMax), line('size'))
    const answers = await stream.answered(4)
    expect(answers.map(({ code }) => code)).toEqual([
      undefined,
      'body_too_large',
      'body_too_large',
      undefined,
    ])
    stream.sendLines(padded(2 * bodyBytesMax + 1))
    await stream.closed()
    await becomes('size', 2)
  })

  test('numbers go on over every power of ten', async () => {
    const stream = await open()
    for (let sent = 0; sent < 11_000; sent += 1_000) {
      stream.sendLines(...Array.from({ length: 1_000 }, () => line('many')))
      await stream.answered(sent + 1_000)
    }
    const { answers } = stream
    expect(answers.every(({ message, accepted }, index) => message === index + 1 && accepted === 1)).toBe(
      true,
    )
    await becomes('many', 11_000)
  })
})

describe('joined answers', () => {
  test('tell how many messages they are to, and each message has one', async () => {
    const stream = await open({ query: '?answers=joined' })
    for (let sent = 0; sent < 2_000; sent += 100)
      stream.sendLines(...Array.from({ length: 100 }, () => line('joined')))
    await until('the last is answered', () => stream.answers.at(-1)?.message === 2_000)
    let answered = 0
    for (const { message, messages, accepted, ack } of stream.answers) {
      expect({ message, accepted, ack }).toEqual({
        message: answered + messages!,
        accepted: messages,
        ack: 'memory',
      })
      answered = message
    }
    expect(stream.answers.length).toBeLessThan(1_000)
    await becomes('joined', 2_000)
  })

  test.each(['memory', 'committed'])('leave out what is refused: %s', async ack => {
    const stream = await open({ query: `?answers=joined&ack=${ack}` })
    const good = line(`except ${ack}`)
    stream.sendLines(good, `${good}\n${good}`, '{', good, good)
    await stream.answered(3)
    const byMessage = [...stream.answers].sort((left, right) => left.message - right.message)
    expect(byMessage).toMatchObject([
      { message: 2, messages: 2, accepted: 3, ack },
      { message: 3, status: 400, code: 'increments_refused' },
      { message: 5, messages: 2, accepted: 2, ack },
    ])
    await becomes(`except ${ack}`, 5)
  })
})

describe('the upgrade', () => {
  const ask = async (request: string) => {
    using connection = await RawConnection.connect(bed.service.port)
    connection.send(request)
    return await connection.answer()
  }

  test.each<[string, UpgradeParts, number, string]>([
    [
      'without the headers of a WebSocket',
      { headers: { 'Sec-WebSocket-Key': null } },
      426,
      'upgrade_required',
    ],
    ['to something else', { headers: { Upgrade: 'h2c' } }, 426, 'upgrade_required'],
    ['without a connection header', { headers: { Connection: 'keep-alive' } }, 426, 'upgrade_required'],
    ['to another version', { headers: { 'Sec-WebSocket-Version': '8' } }, 426, 'upgrade_required'],
    ['with an unknown ack', { query: '?ack=perhaps' }, 400, 'ack_unknown'],
    ['with two acks', { query: '?ack=memory&ack=queued' }, 400, 'ack_unknown'],
    ['with unknown answers', { query: '?answers=some' }, 400, 'answers_unknown'],
    ['with two ways to answer', { query: '?answers=joined&answers=single' }, 400, 'answers_unknown'],
    ['with an idempotency key', { headers: { 'Idempotency-Key': '"a"' } }, 400, 'idempotency_not_on_stream'],
    ['with an empty one', { headers: { 'Idempotency-Key': '' } }, 400, 'idempotency_not_on_stream'],
    ['by its other name', { headers: { 'X-Idempotency-Key': 'a' } }, 400, 'idempotency_not_on_stream'],
    ['with a body', { headers: { 'Content-Length': '5' } }, 400, 'framing_ambiguous'],
    ['in chunks', { headers: { 'Transfer-Encoding': 'chunked' } }, 400, 'framing_ambiguous'],
  ])('%s is refused', async (_, parts, status, code) => {
    const answer = await ask(upgradeRequest(parts))
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(JSON.parse(answer.body)).toMatchObject({ status, code })
    if (status === 426) expect(answer.headers.get('upgrade')).toBe('websocket')
  })

  test('is the only thing that the path knows', async () => {
    const answer = await ask(post('key=a&value=1', { target: '/stream' }))
    expect(answer.status).toBe(405)
    expect(answer.headers.get('allow')).toBe('GET')
  })

  test('in capital letters, with a header of several values, opens a stream', async () => {
    const headers = { Upgrade: 'WebSocket', Connection: 'keep-alive, upgrade' }
    const stream = await open({ headers, query: '?ack=queued' })
    stream.sendLines(line('capital'))
    expect((await stream.answered(1))[0]).toMatchObject({ message: 1, ack: expect.stringMatching(/queued/) })
  })

  test('names no extension and no protocol that the client offers', async () => {
    const offers = { 'Sec-WebSocket-Extensions': 'permessage-deflate', 'Sec-WebSocket-Protocol': 'a, b' }
    const answer = await ask(upgradeRequest({ headers: offers }))
    expect(answer.status).toBe(101)
    expect(answer.headers.get('sec-websocket-accept')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
    for (const name of Object.keys(offers)) expect(answer.headers.has(name.toLowerCase())).toBe(false)
  })
})

describe('what is no WebSocket', () => {
  const inTwo = (text: string) => [
    frame(text.slice(0, 5), { isFinal: false }),
    frame(text.slice(5), { opcode: opcodes.continuation }),
  ]
  test.each<[string, Buffer]>([
    ['text that is no UTF-8', frame(Buffer.from([0xff, 0xfe]))],
    ['a reserved bit', Buffer.from([0xf1, 0x80, 0, 0, 0, 0])],
    ['a continuation of nothing', frame('x', { opcode: opcodes.continuation })],
    ['a frame of 2^63 bytes', Buffer.from([0x81, 0xff, 0x7f, ...Array(7).fill(0xff), 0, 0, 0, 0])],
    ['a fragmented message beyond twice the bound', Buffer.concat(inTwo(' '.repeat(2 * bodyBytesMax + 1)))],
    ['a fragmented ping', frame('x', { opcode: opcodes.ping, isFinal: false })],
    ['text instead of frames', Buffer.from('POST /increment HTTP/1.1\r\n\r\nkey=torture&value=1')],
  ])('%s ends the stream, and what came before it counts', async (_, bytes) => {
    const before = BigInt(total('torture'))
    const stream = await open()
    stream.sendLines(line('torture'))
    await stream.answered(1)
    stream.send(bytes, frame(line('torture')))
    await stream.closed()
    expect(stream.answers).toEqual([{ message: 1, accepted: 1, ack: 'memory' }])
    await becomes('torture', Number(before) + 1)
  })

  test('random bytes harm nobody', async () => {
    for (let seed = 1; seed <= 100; seed++) {
      const stream = await open({ query: seed % 2 === 0 ? '?ack=committed' : '' })
      const bytes = Buffer.from(Array.from({ length: 400 }, (_, index) => (seed * 7919 * (index + 1)) >> 5))
      stream.send(frame(line('random')), bytes)
      stream.socket.end()
      await stream.closed()
    }
    await becomes('random', 100)
    expect(bed.service.output).not.toContain('fault')
  })

  test('frames without a mask count nothing by chance', async () => {
    const stream = await open()
    stream.send(frame(line('unmasked'), { isMasked: false }), frame(line('unmasked'), { isMasked: false }))
    stream.socket.end()
    await stream.closed()
    expect(stream.answers.every(({ accepted }) => accepted === undefined)).toBe(true)
    expect(total('unmasked')).toBe('0')
  })
})

describe('many streams', () => {
  test('that are cut in the middle leave the totals exact', async () => {
    const sent = 2_000
    let accepted = 0
    const cut = async (index: number) => {
      const stream = await open({ query: index % 2 === 0 ? '' : '?ack=committed' })
      stream.sendLines(...Array.from({ length: sent }, (_, number) => line(`cut ${index} ${number}`)))
      await stream.answered(1)
      stream.abort()
      accepted += stream.answers.length
      return stream.answers.map(({ message }) => `cut ${index} ${message - 1}`)
    }
    const answered = (await Promise.all(Array.from({ length: 10 }, (_, index) => cut(index)))).flat()
    expect(answered.length).toBe(accepted)
    await until('nobody waits', async () => (await bed.service.metric('piccolo_requests_waiting')) === 0)
    const counted = () => [...bed.folder.totals()].filter(([key]) => key.startsWith('cut '))
    await until('every answered one is counted', () => {
      const keys = new Set(counted().map(([key]) => key))
      return answered.every(key => keys.has(key))
    })
    // Each has a key of its own: no total is anything but 1.
    expect(counted().every(([, value]) => value === '1')).toBe(true)
  })

  test('are counted among the connections while they are open', async () => {
    const connections = () => bed.service.metric('piccolo_stream_connections')
    await until('earlier ones are gone', async () => (await connections()) === 0)
    const all = await bed.service.metric('piccolo_connections')
    const opened = await Promise.all([1, 2, 3, 4, 5].map(() => open()))
    expect(await connections()).toBe(5)
    expect(await bed.service.metric('piccolo_connections')).toBe(all + 5)
    for (const stream of opened) stream.abort()
    await until('they are gone', async () => (await connections()) === 0)
    expect(await bed.service.metric('piccolo_connections')).toBe(all)
    expect(await bed.service.metric('piccolo_stream_messages_total')).toBeGreaterThan(11_000)
  })
})
