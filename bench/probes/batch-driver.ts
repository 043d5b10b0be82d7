import assert from 'node:assert'
import { connect, type Socket } from 'node:net'
import { systemClock } from '../../lib/clock.ts'

export const bodyCount = 64
export const linesPerBody = 1_000
/** Requests that a connection has under way: the server need not wait for the next one. */
const inFlightMax = 4

export interface DriverOptions {
  readonly port: number
  readonly keyCount: number
  readonly connectionCount: number
  readonly durationMs: number
}

export interface Driven {
  /** By body: how often it was answered with 200; each has 1,000 increments. */
  readonly answered: readonly number[]
  /** From the first request to the last answer. */
  readonly elapsedMs: number
}

/**
 * NDJSON bodies of 1,000 lines over raw sockets, each connection with several requests under way. Requests
 * are made before. Resolves once every request was answered; rejects when one was not answered with 200 and
 * the count of its lines.
 */
export async function driveBatches(options: DriverOptions): Promise<Driven> {
  const requests = Array.from({ length: bodyCount }, (_, index) => requestOf(index, options.keyCount))
  const answered = Array<number>(bodyCount).fill(0)
  const startedMs = systemClock.monotonicMs()
  const deadlineMs = startedMs + options.durationMs
  let bodyNext = 0
  const drive = (socket: Socket) =>
    new Promise<void>((resolve, reject) => {
      const underWay: number[] = []
      const answers = new AnswerReader()
      const send = () => {
        while (underWay.length < inFlightMax && systemClock.monotonicMs() < deadlineMs) {
          const body = bodyNext++ % bodyCount
          underWay.push(body)
          socket.write(requests[body]!)
        }
        if (underWay.length > 0) return
        socket.destroy()
        resolve()
      }
      socket.on('error', reject)
      socket.once('end', () => reject(new Error('the server closed a connection')))
      socket.on('data', chunk => {
        try {
          for (let count = answers.add(chunk); count > 0; count--) answered[underWay.shift()!]!++
          send()
        } catch (error) {
          reject(error)
        }
      })
      socket.once('connect', send)
    })
  const sockets = Array.from({ length: options.connectionCount }, () => connect(options.port, '127.0.0.1'))
  try {
    await Promise.all(sockets.map(drive))
  } finally {
    for (const socket of sockets) socket.destroy()
  }
  return { answered, elapsedMs: systemClock.monotonicMs() - startedMs }
}

/** The increments of one body: keys spread over all of them, one as often as the other. */
export function incrementsOf(bodyIndex: number, keyCount: number): { key: string; value: number }[] {
  return Array.from({ length: linesPerBody }, (_, line) => {
    const number = ((bodyIndex * linesPerBody + line) * 7_919) % keyCount
    return { key: `counter-${number}`, value: (line % 100) - 20 }
  })
}

function requestOf(bodyIndex: number, keyCount: number): Buffer {
  const lines = incrementsOf(bodyIndex, keyCount).map(each => `${JSON.stringify(each)}\n`)
  const body = lines.join('')
  const head = [
    'POST /increment HTTP/1.1',
    'Host: localhost',
    'Content-Type: application/x-ndjson',
    `Content-Length: ${body.length}`,
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}

const statusLine = Buffer.from('HTTP/1.1 200 OK\r\n')
const answerBody = Buffer.from(`{"accepted":${linesPerBody},"ack":"memory"}`)

/** Counts the answers of one connection, all of which have the same length, status and body. */
class AnswerReader {
  /** Null until the first answer is complete. */
  #length: number | null = null
  #pending: Buffer = Buffer.alloc(0)

  /** How many became complete with this chunk. */
  add(chunk: Buffer): number {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    const bodyStart = this.#pending.indexOf('\r\n\r\n') + 4
    if (bodyStart >= 4) this.#length ??= bodyStart + answerBody.length
    const length = this.#length ?? Number.POSITIVE_INFINITY
    let count = 0
    for (; this.#pending.length >= length; count++) {
      const answer = this.#pending.subarray(0, length)
      const isRight =
        answer.subarray(0, statusLine.length).equals(statusLine) &&
        answer.subarray(-answerBody.length).equals(answerBody)
      assert(isRight, this.#pending.toString('latin1'))
      this.#pending = this.#pending.subarray(length)
    }
    return count
  }
}

/** As a process of its own, with the options as JSON; prints what was answered. */
if (process.argv[1] === import.meta.filename)
  console.log(JSON.stringify(await driveBatches(JSON.parse(process.argv[2]!))))
