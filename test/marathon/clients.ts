import { connect, type Socket } from 'node:net'
import type { Random } from '../kit/random.ts'
import { frame, RawWebSocket } from '../kit/raw-websocket.ts'
import { type Account, type Body, makeBody, neverKey } from './account.ts'

/** Where clients send to. */
interface Target {
  readonly port: number
  /** How often a web process was killed. */
  readonly killCount: number
}

export interface ClientParts {
  readonly name: string
  readonly target: Target
  readonly account: Account
  readonly random: Random
  readonly bodies: readonly Body[]
  readonly isStopped: () => boolean
}

/** A client asks for the database after so many answers that promise no more than memory. */
const committedEvery = 8
const answerTimeoutMs = 20_000
const reconnectMs = 50
const streamBurst = 16
const floodMs = 1_000
const floodPauseMs = 20_000
const floodPiece = 500

/** Sends batches in NDJSON as fast as they are answered. */
export async function sendBatches(parts: ClientParts): Promise<void> {
  const { account, isStopped, random, target } = parts
  while (!isStopped()) {
    const socket = await open(target.port)
    const killCount = target.killCount
    /** Bodies since the database was known to have everything that came over this connection. */
    let inMemory: Body[] = []
    for (let number = 1; socket !== null; number++) {
      const isLast = isStopped()
      const body = random.pick(parts.bodies)
      const answer = await post(
        socket,
        body,
        isLast || number % committedEvery === 0 ? 'committed' : 'memory',
      )
      if (answer === null) {
        account.add(body, 'unanswered')
        break
      }
      if (answer.status === 200 || answer.status === 202) inMemory.push(body)
      else if (answer.status !== 503) account.faults.push(`${parts.name} was answered ${answer.status}`)
      if (answer.status === 200 && answer.ack === 'committed') {
        for (const each of inMemory) account.add(each, 'certain')
        inMemory = []
        if (isLast) break
      }
    }
    for (const body of inMemory) account.add(body, target.killCount > killCount ? 'atRisk' : 'certain')
    socket?.destroy()
    await pause(reconnectMs)
  }
}

/** Sends messages over a WebSocket, many under way at a time, each answered when it is in the database. */
export async function sendMessages({ account, bodies, isStopped, target }: ClientParts): Promise<void> {
  const frames = bodies.map(({ ndjson }) => frame(ndjson))
  while (!isStopped()) {
    const socket = await RawWebSocket.open(target.port, { query: '?ack=committed' }).catch(() => null)
    for (let first = 1; socket !== null && !socket.isClosed && !isStopped(); first += streamBurst) {
      const sent = Array.from({ length: streamBurst }, (_, index) => (first + index) % bodies.length)
      socket.send(...sent.map(index => frames[index]!))
      await socket.answered(streamBurst).catch(() => {})
      const answers = new Map(socket.answers.splice(0).map(answer => [answer.message, answer]))
      for (const [index, body] of sent.entries()) {
        const answer = answers.get(first + index)
        if (answer?.ack === 'committed') account.add(bodies[body]!, 'certain')
        else if (answer?.code === undefined) account.add(bodies[body]!, 'unanswered')
      }
    }
    socket?.socket.destroy()
    await pause(reconnectMs)
  }
}

/** Now and then pipelines single increments for a second, as fast as it can, and reads its answers. */
export async function flood({ name, account, isStopped, target }: ClientParts): Promise<void> {
  const body: Body = { ...makeBody(name, 1, () => ''), ndjson: Buffer.alloc(0) }
  const form = `key=${encodeURIComponent(body.counterKey)}&value=1`
  const head = `POST /increment HTTP/1.1\r\nHost: marathon\r\nContent-Length: ${form.length}\r\n\r\n`
  const piece = Buffer.from(`${head}${form}`.repeat(floodPiece))
  for (let waitedMs = 0; !isStopped(); waitedMs += 100) {
    await pause(100)
    if (waitedMs % floodPauseMs !== 0) continue
    const socket = await open(target.port)
    if (socket === null) continue
    const killCount = target.killCount
    let answered = 0
    let rest = ''
    socket.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString('latin1')).split('"ack":"memory"}')
      answered += parts.length - 1
      rest = parts.at(-1)!
    })
    let sent = 0
    for (const endMs = performance.now() + floodMs; performance.now() < endMs && !socket.destroyed; ) {
      sent += floodPiece
      if (!socket.write(piece)) await drained(socket)
    }
    for (let waits = 0; answered < sent && waits < 50 && !socket.destroyed; waits++) await pause(100)
    account.add(body, target.killCount > killCount ? 'atRisk' : 'certain', answered)
    account.add(body, 'unanswered', sent - answered)
    socket.destroy()
  }
}

/** Goes away in the middle of a request, or right behind it. */
export async function vanish({ account, bodies, isStopped, random, target }: ClientParts): Promise<void> {
  const cut = Buffer.from(`{"key":"${neverKey}","value":1}\n`.repeat(100))
  while (!isStopped()) {
    const socket = await open(target.port)
    if (socket !== null && random.chance(0.5)) {
      const body = random.pick(bodies)
      account.add(body, 'unanswered')
      socket.write(headOf(body.ndjson.length, 'memory'))
      socket.write(body.ndjson, () => socket.resetAndDestroy())
    } else if (socket !== null) {
      socket.write(headOf(2 * cut.length, 'memory'))
      socket.write(cut, () => socket.resetAndDestroy())
    }
    await pause(500)
  }
}

interface Answer {
  readonly status: number
  readonly ack?: string
}

/** Resolves to null when the connection ended, or said nothing for too long. */
function post(socket: Socket, { ndjson }: Body, ack: 'memory' | 'committed'): Promise<Answer | null> {
  return new Promise(resolve => {
    let text = ''
    const settle = (answer: Answer | null) => {
      clearTimeout(timer)
      socket.removeAllListeners('data').off('close', end)
      resolve(answer)
    }
    const end = () => settle(null)
    const timer = setTimeout(end, answerTimeoutMs)
    if (socket.destroyed) return settle(null)
    socket.once('close', end)
    socket.on('data', chunk => {
      text += chunk
      const bodyStart = text.indexOf('\r\n\r\n') + 4
      const length = /content-length: (\d+)/i.exec(text)?.[1]
      if (bodyStart < 4 || length === undefined || text.length < bodyStart + Number(length)) return
      settle({ ...JSON.parse(text.slice(bodyStart)), status: Number(text.slice(9, 12)) })
    })
    socket.write(headOf(ndjson.length, ack))
    socket.write(ndjson)
  })
}

function headOf(length: number, ack: string): string {
  const type = 'Content-Type: application/x-ndjson'
  return `POST /increment?ack=${ack} HTTP/1.1\r\nHost: marathon\r\n${type}\r\nContent-Length: ${length}\r\n\r\n`
}

/** Resolves to null when nobody listens. */
function open(port: number): Promise<Socket | null> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1').setNoDelay()
    socket.once('connect', () => resolve(socket))
    socket.once('close', () => resolve(null))
    socket.on('error', () => socket.destroy())
  })
}

function drained(socket: Socket): Promise<void> {
  return new Promise(resolve => {
    socket.once('drain', resolve)
    socket.once('close', resolve)
  })
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
