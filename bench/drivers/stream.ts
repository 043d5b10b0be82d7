import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { systemClock } from '../../lib/clock.ts'
import { shuffledKeys } from '../loads/keys.ts'
import { printSample } from '../loads/print-sample.ts'
import { answersIn, clientFrame } from '../loads/web-socket.ts'

/**
 * `PORT SECONDS CONNECTIONS MESSAGES KEYS [joined]`: bursts of so many messages of one increment each, made
 * before the load begins. A burst is over when each of its messages is answered, alone or joined with others.
 */
const [port, seconds, connections, messages, keyCount] = process.argv.slice(2, 7).map(Number) as [
  number,
  number,
  number,
  number,
  number,
]
const path = process.argv[7] === 'joined' ? '/stream?answers=joined' : '/stream'
const burstsMax = 2_000

const bursts = makeBursts()
const latenciesMs: number[] = []
let accepted = 0
let failures = 0
let turn = 0
const startedMs = systemClock.monotonicMs()
const endMs = startedMs + seconds * 1_000
await Promise.all(Array.from({ length: connections }, loop))
const taken = (systemClock.monotonicMs() - startedMs) / 1_000
printSample({ increments: accepted, seconds: taken, failures, underWayMax: 0 }, latenciesMs)

function makeBursts(): Buffer[] {
  const keys = shuffledKeys(keyCount)
  const count = Math.min(burstsMax, Math.max(1, Math.ceil(keyCount / messages)))
  return Array.from({ length: count }, (_, index) =>
    Buffer.concat(
      Array.from({ length: messages }, (_, at) =>
        clientFrame(`{"key":"${keys[(index * messages + at) % keyCount]}","value":1}`),
      ),
    ),
  )
}

function loop(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1').setNoDelay()
    let received: Buffer = Buffer.alloc(0)
    let isOpen = false
    let awaited = 0
    let beganMs = 0
    const send = () => {
      beganMs = systemClock.monotonicMs()
      if (beganMs >= endMs) {
        socket.destroy()
        resolve()
        return
      }
      awaited = messages
      socket.write(bursts[turn++ % bursts.length]!)
    }
    socket.once('connect', () => socket.write(handshake()))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server closed the connection')))
    socket.on('data', chunk => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
      if (!isOpen) {
        const end = received.indexOf('\r\n\r\n')
        if (end === -1) return
        const status = received.toString('latin1', 0, received.indexOf('\r\n'))
        if (!status.startsWith('HTTP/1.1 101 ')) return reject(new Error(`no WebSocket: ${status}`))
        received = received.subarray(end + 4)
        isOpen = true
        send()
        return
      }
      const answers = answersIn(received)
      received = received.subarray(answers.bytes)
      accepted += answers.accepted
      failures += answers.refused
      awaited -= answers.accepted + answers.refused
      if (awaited > 0) return
      latenciesMs.push(systemClock.monotonicMs() - beganMs)
      send()
    })
  })
}

function handshake(): string {
  const key = randomBytes(16).toString('base64')
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13'
  return `GET ${path} HTTP/1.1\r\nHost: bench\r\n${upgrade}\r\nSec-WebSocket-Key: ${key}\r\n\r\n`
}
