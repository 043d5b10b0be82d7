import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { post, RawConnection, requestHead } from '../kit/raw-http.ts'
import { frame, line, opcodes, RawWebSocket } from '../kit/raw-websocket.ts'
import { TestBed } from '../kit/test-bed.ts'

// Requests that clients leave unfinished, and answers that they leave unread, take little memory.

const mebibyte = 1024 * 1024
const bed = new TestBed()
const sockets: Socket[] = []

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})

async function start(): Promise<void> {
  await bed.start('--web-processes', '1')
  web = bed.service.children().get('piccolo web 1')!
}

let web = 0
/** Mebibytes that the web process takes of the machine's memory. */
function residentMib(): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${web}/status`, 'latin1'))![1]) / 1024
}

/** The most that it takes while `work` is going on. */
async function residentPeak(work: () => Promise<void>): Promise<number> {
  let peak = residentMib()
  let isOver = false
  const watching = (async () => {
    while (!isOver) {
      peak = Math.max(peak, residentMib())
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  })()
  try {
    await work()
  } finally {
    isOver = true
    await watching
  }
  return Math.max(peak, residentMib())
}

/** Sends these on a connection of its own, and reads nothing. Resolves when they are sent, or it closed. */
function send(...pieces: readonly (Buffer | string)[]): Promise<Socket> {
  const socket = connect(bed.service.port, '127.0.0.1')
  sockets.push(socket)
  socket.setNoDelay(true)
  return new Promise(resolve => {
    socket.on('error', () => resolve(socket))
    socket.on('close', () => resolve(socket))
    for (const piece of pieces.slice(0, -1)) socket.write(piece)
    socket.write(pieces.at(-1)!, () => resolve(socket))
  })
}

async function isWellFor(work: () => Promise<unknown>, service = bed.service): Promise<void> {
  expect(await service.increment('well', 1)).toBe(200)
  await work()
  expect(await service.increment('well', 1)).toBe(200)
}

/** Reads nothing from now on. */
function ignore(socket: Socket): void {
  socket.pause()
}

const times = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, index) => make(index))

test('uploads that stop before their end take no more than their share; those beyond are 503', async () => {
  await start()
  const before = residentMib()
  const head = requestHead({ headers: `Content-Length: ${mebibyte}\r\n` })
  const answers: number[] = []
  const peak = await residentPeak(() =>
    isWellFor(async () => {
      for (const _ of times(300, index => index)) {
        const connection = await RawConnection.connect(bed.service.port)
        sockets.push({ destroy: () => connection[Symbol.dispose]() } as unknown as Socket)
        connection.send(head + 'k'.repeat(700_000))
        connection.answer().then(
          ({ status, body }) => answers.push(status === 503 ? JSON.parse(body).code : status),
          () => {},
        )
      }
      await until('many are refused', () => answers.length > 200)
    }),
  )
  expect(new Set(answers)).toEqual(new Set(['unfinished_full']))
  expect(peak - before).toBeLessThan(160)
  const held = await bed.metric('piccolo_unfinished_body_bytes')
  expect(held).toBeGreaterThan(40 * mebibyte)
  expect(held).toBeLessThanOrEqual(64 * mebibyte)
  for (const socket of sockets.splice(0)) socket.destroy()
  await until('all is given back', async () => (await bed.metric('piccolo_unfinished_body_bytes')) === 0)
  await until('to the system, too', () => residentMib() - before < 60)
  // There is room again.
  using connection = await RawConnection.connect(bed.service.port)
  const body = `key=upload&value=1&rest=${'r'.repeat(700_000)}`
  connection.send(post(body, { type: 'application/x-www-form-urlencoded' }))
  expect((await connection.answer()).status).toBe(200)
})

const largeFrame = frame(Buffer.alloc(1_900_000, 'a')).subarray(0, 1_800_000)
const halves: [string, Buffer[]][] = [
  ['of a frame that stops', [largeFrame]],
  [
    'of many fragments without a last one',
    times(18, index => {
      const opcode = index === 0 ? opcodes.text : opcodes.continuation
      return frame(Buffer.alloc(100_000, 'a'), { isFinal: false, opcode })
    }),
  ],
  ['behind a whole message', [frame(line('half')), largeFrame]],
]

async function openStream(): Promise<Socket> {
  const { socket } = await RawWebSocket.open(bed.service.port)
  sockets.push(socket)
  return socket
}

/** Sends them, or what the server takes of them. */
function leaveHalf(socket: Socket, frames: readonly Buffer[]): Promise<void> {
  return new Promise(resolve => {
    socket.on('close', () => resolve())
    socket.write(Buffer.concat(frames), () => resolve())
  })
}

test.each(halves)(
  'unfinished messages %s take a bounded part of the memory, and give it back',
  async (_, half) => {
    await start()
    const before = residentMib()
    const peak = await residentPeak(() =>
      isWellFor(async () => {
        // All of them are open before the first one sends anything.
        const streams: Socket[] = []
        while (streams.length < 400) streams.push(...(await Promise.all(times(50, () => openStream()))))
        for (let start = 0; start < streams.length; start += 20)
          await Promise.all(streams.slice(start, start + 20).map(socket => leaveHalf(socket, half)))
      }),
    )
    expect(peak - before).toBeLessThan(350)
    await until('a part of it is given back', () => residentMib() - before < 220)
    for (const socket of sockets.splice(0)) socket.destroy()
    await until('all is given back', () => residentMib() - before < 80)
    await until('streams may be opened again', () =>
      RawWebSocket.open(bed.service.port).then(
        stream => {
          sockets.push(stream.socket)
          return true
        },
        () => false,
      ),
    )
    expect(bed.service.output).toContain('their unfinished messages take too much')
  },
)

test('clients that ping and do not read the pongs are closed', async () => {
  await start()
  const before = residentMib()
  const pings = Buffer.concat(times(250, () => frame(Buffer.alloc(125, 'p'), { opcode: opcodes.ping })))
  const clients = await Promise.all(times(8, openStream))
  clients.forEach(ignore)
  const peak = await residentPeak(() =>
    isWellFor(() =>
      until('all are closed', async () => {
        for (const socket of clients) if (socket.writable && socket.writableLength === 0) socket.write(pings)
        return (await bed.metric('piccolo_stream_connections')) === 0
      }),
    ),
  )
  expect(peak - before).toBeLessThan(100)
})

const preflight = 'Origin: http://localhost\r\nAccess-Control-Request-Method: POST\r\n'
const requests: [string, string, number][] = [
  ['preflights', requestHead({ method: 'OPTIONS', headers: preflight }), 100],
  ['refused bodies', post('x\n'.repeat(100), { type: 'application/jsonl' }), 10],
  ['bodies', post('key=unread&value=1'), 100],
  ['paths that are not there', requestHead({ method: 'GET', target: '/nothing' }), 100],
]

test.each(requests)('answers to %s that nobody reads end the connection', async (_, request, count) => {
  await start()
  const before = residentMib()
  const burst = request.repeat(count)
  const peak = await residentPeak(() =>
    isWellFor(async () => {
      const clients = await Promise.all(times(4, () => send(burst)))
      clients.forEach(ignore)
      await until('all are closed', () => {
        const open = clients.filter(socket => socket.writable)
        for (const socket of open) if (socket.writableLength === 0) socket.write(burst)
        return open.length === 0
      })
    }),
  )
  expect(peak - before).toBeLessThan(100)
})
