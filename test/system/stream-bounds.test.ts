import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { frame, line, RawWebSocket, upgradeRequest } from '../kit/raw-websocket.ts'
import { RawConnection } from '../kit/raw-http.ts'
import { TestBed } from '../kit/test-bed.ts'

const bed = new TestBed()
const streams: RawWebSocket[] = []

afterEach(() => {
  for (const stream of streams.splice(0)) stream[Symbol.dispose]()
})

const start = (...args: string[]) => bed.start('--web-processes', '1', ...args)
async function open(query = ''): Promise<RawWebSocket> {
  const stream = await RawWebSocket.open(bed.service.port, { query })
  streams.push(stream)
  return stream
}
const times = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, i) => make(i))

describe('acknowledgements', () => {
  test('of thousands of messages may be under way, and all come with the commit', async () => {
    await start('--ack-timeout-ms', '60000')
    bed.signalConsumer('SIGSTOP')
    const stream = await open('?ack=committed')
    stream.sendLines(...times(5_000, index => line(`key ${index % 100}`)))
    await until('all wait', async () => (await bed.service.metric('piccolo_requests_waiting')) === 5_000)
    expect(stream.answers).toEqual([])
    bed.signalConsumer('SIGCONT')
    const answers = await stream.answered(5_000)
    expect(answers.map(({ message }) => message)).toEqual(times(5_000, index => index + 1))
    expect(answers.every(({ ack, accepted }) => ack === 'committed' && accepted === 1)).toBe(true)
    expect(bed.folder.totals()).toEqual(new Map(times(100, index => [`key ${index}`, '50'])))
    expect(await bed.service.metric('piccolo_requests_waiting')).toBe(0)
  })

  test('that do not come in time are 202, and the messages count all the same', async () => {
    await start('--ack-timeout-ms', '300')
    bed.signalConsumer('SIGSTOP')
    const stream = await open('?ack=committed')
    stream.sendLines(line('late'), line('late'))
    const [first, second] = await stream.answered(2)
    for (const answer of [first, second]) expect(answer).toMatchObject({ status: 202, accepted: 1 })
    expect(['memory', 'queued']).toContain(first!.ack)
    bed.signalConsumer('SIGCONT')
    await bed.service.hasTotals(new Map([['late', '2']]))
  })

  test('beyond --waiting-max are refused at once, and count nothing', async () => {
    await start('--waiting-max', '3', '--ack-timeout-ms', '60000')
    bed.signalConsumer('SIGSTOP')
    const stream = await open('?ack=committed')
    stream.sendLines(...times(5, () => line('full')))
    const refused = await stream.answered(2)
    expect(refused.map(({ message, status, code }) => [message, status, code])).toEqual([
      [4, 503, 'waiting_full'],
      [5, 503, 'waiting_full'],
    ])
    const memory = await open()
    memory.sendLines(line('full', 10))
    await memory.answered(1)
    bed.signalConsumer('SIGCONT')
    await stream.answered(5)
    await bed.service.hasTotals(new Map([['full', '13']]))
  })

  test('of a client that is gone harm nobody, and its messages count', async () => {
    await start('--ack-timeout-ms', '60000')
    bed.signalConsumer('SIGSTOP')
    const gone = await Promise.all(times(20, () => open('?ack=committed')))
    for (const stream of gone) stream.sendLines(...times(10, () => line('gone')))
    await until('all wait', async () => (await bed.service.metric('piccolo_requests_waiting')) === 200)
    for (const stream of gone) stream.abort()
    await until('nobody waits', async () => (await bed.service.metric('piccolo_requests_waiting')) === 0)
    bed.signalConsumer('SIGCONT')
    const stream = await open('?ack=committed')
    stream.sendLines(line('gone'))
    expect(await stream.answered(1)).toEqual([{ message: 1, accepted: 1, ack: 'committed' }])
    await bed.service.hasTotals(new Map([['gone', '201']]))
    expect(bed.service.output).not.toContain('fault')
  })

  test('are by default what the server is told', async () => {
    await start('--default-ack', 'committed')
    const [asDefault, memory] = await Promise.all([open(), open('?ack=memory')])
    asDefault!.sendLines(line('default'))
    memory!.sendLines(line('default'))
    expect((await asDefault!.answered(1))[0]!.ack).toBe('committed')
    expect((await memory!.answered(1))[0]!.ack).toBe('memory')
  })
})

describe('bounds', () => {
  test('keys beyond --keys-max are refused message by message', async () => {
    await start('--keys-max', '1000', '--flush-interval-ms', '60000')
    const stream = await open()
    stream.sendLines(...times(1_001, index => line(`key ${index}`)), line('key 5'))
    const answers = await stream.answered(1_002)
    expect(answers.filter(({ code }) => code !== undefined)).toMatchObject([
      { message: 1_001, status: 503, code: 'memory_full' },
    ])
  })

  test('streams count as connections, and one too many is refused until another is closed', async () => {
    await start('--connections-max', '3')
    const opened = await Promise.all(times(3, () => open()))
    const answer = async () => {
      using connection = await RawConnection.connect(bed.service.port)
      connection.send(upgradeRequest())
      return (await connection.answer()).status
    }
    expect(await answer()).toBe(503)
    opened[0]!.abort()
    await until('there is room', async () => (await answer()) === 101)
  })

  // Where answers are joined, a refusal between any two keeps them long enough to pile up.
  test.each([
    ['', [line('unread')]],
    ['?answers=joined', [line('unread'), line('unread'), '{']],
  ])(
    'a client that does not read is closed with 1013; what was not answered was not counted: %s',
    async (query, lines) => {
      await start()
      const stream = await open(query)
      stream.socket.pause()
      const burst = Buffer.concat(times(1_000, index => frame(lines[index % lines.length]!)))
      let sent = 0
      const sending = async () => {
        while (stream.socket.writable && sent < 1_000_000) {
          sent += 1_000
          if (!stream.socket.write(burst)) await new Promise(resolve => setImmediate(resolve))
          if ((await bed.service.metric('piccolo_stream_connections')) === 0) return
        }
      }
      await sending()
      expect(await bed.service.metric('piccolo_stream_connections')).toBe(0)
      // More than the bound by an answer or two at most.
      expect(await bed.service.metric('piccolo_stream_unread_bytes')).toBeLessThan(1.1 * 1024 * 1024)
      stream.socket.resume()
      await stream.closed()
      expect([stream.closeCode, stream.closeReason]).toEqual([1013, 'read the answers while you send'])
      let answered = 0
      for (const { message, messages = 1 } of stream.answers) {
        answered += messages
        expect(message).toBe(answered)
      }
      expect(answered).toBeLessThan(sent)
      const accepted = stream.answers.reduce((sum, answer) => sum + (answer.accepted ?? 0), 0)
      await bed.service.hasTotals(new Map([['unread', String(accepted)]]))
    },
  )
})

describe('a stop', () => {
  test('closes idle streams with 1001 and ends', async () => {
    await start()
    const opened = await Promise.all(times(5, () => open()))
    for (const stream of opened) stream.sendLines(line('idle'))
    await Promise.all(opened.map(stream => stream.answered(1)))
    expect(await bed.service.stop()).toBe(0)
    for (const stream of opened) expect(stream.closeCode).toBe(1001)
    expect(bed.folder.totals().get('idle')).toBe('5')
  })

  test('under load: what was not answered before the close was not counted, and nothing else', async () => {
    await start()
    const opened = await Promise.all([
      open(),
      open('?answers=joined'),
      open('?ack=queued'),
      open('?ack=committed'),
    ])
    const isStopped = () => opened.every(stream => stream.closeCode !== null)
    const sent = opened.map(() => 0)
    const load = (async () => {
      while (!isStopped()) {
        for (const [index, stream] of opened.entries()) {
          if (stream.closeCode !== null) continue
          stream.sendLines(...times(50, () => line(`stopped ${index}`)))
          sent[index]! += 50
        }
        await new Promise(resolve => setTimeout(resolve, 1))
      }
    })()
    await Promise.all(opened.map(stream => until('it is answered', () => stream.answers.length > 10)))
    expect(await bed.service.stop()).toBe(0)
    await Promise.all(opened.map(stream => until('it is closed', () => stream.closeCode === 1001)))
    await load
    for (const [index, stream] of opened.entries()) {
      const accepted = stream.answers.reduce((sum, answer) => sum + (answer.accepted ?? 0), 0)
      expect(bed.folder.totals().get(`stopped ${index}`), `stream ${index}`).toBe(String(accepted))
    }
  })

  test('answers what waits for a commit that does not come with 202', async () => {
    await start('--ack-timeout-ms', '60000', '--stop-timeout-ms', '3000')
    bed.signalConsumer('SIGSTOP')
    const stream = await open('?ack=committed')
    stream.sendLines(line('stuck'), line('stuck'))
    await until('both wait', async () => (await bed.service.metric('piccolo_requests_waiting')) === 2)
    bed.service.signal('SIGTERM')
    await bed.service.says(/"process":"web 1","msg":"stopping"/)
    stream.sendLines(line('stuck', 100))
    await stream.closed()
    expect(stream.closeCode).toBe(1001)
    for (const answer of stream.answers) expect(answer).toMatchObject({ status: 202, accepted: 1 })
    expect(stream.answers).toHaveLength(2)
    bed.signalConsumer('SIGCONT')
    await bed.service.exited
    expect(bed.folder.totals().get('stuck') ?? '2').toBe('2')
  })
})
