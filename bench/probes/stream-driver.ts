import { randomBytes, randomInt } from 'node:crypto'
import { connect } from 'node:net'

/**
 * `PORT SECONDS CONNECTIONS BURST KEYS ANSWERS`: on each connection a burst of messages of one increment each,
 * made before the load begins, and the next burst once all of it is answered. Says as JSON how many messages
 * were answered. Fails at the first answer that is anything but counted, one message after the other.
 */
const [port, seconds, connectionCount, burstMessages, keyCount] = process.argv.slice(2, 7).map(Number) as [
  number,
  number,
  number,
  number,
  number,
]
const answers = process.argv[7] === 'joined' ? 'joined' : 'single'
const burstCount = 512
const readBytesMax = 65_536
const frameHeadBytes = 2

interface Answer {
  readonly message: number
  readonly messages?: number
  readonly accepted: number
}

const bursts = Array.from({ length: burstCount }, () =>
  Buffer.concat(
    Array.from({ length: burstMessages }, () => frame(`{"key":"key${randomInt(keyCount)}","value":1}`)),
  ),
)
let turn = 0
const startedNs = process.hrtime.bigint()
const elapsedSeconds = () => Number(process.hrtime.bigint() - startedNs) / 1e9
const answered = await Promise.all(Array.from({ length: connectionCount }, connection))
const messages = answered.reduce((sum, each) => sum + each, 0)
console.log(JSON.stringify({ messages, seconds: elapsedSeconds() }))

/** Resolves to the number of messages that were answered, when the time is over. */
function connection(): Promise<number> {
  return new Promise((resolve, reject) => {
    let sent = 0
    let counted = 0
    let isOpen = false
    let rest: Buffer = Buffer.alloc(0)
    const send = () => {
      if (elapsedSeconds() >= seconds) {
        socket.destroy()
        resolve(counted)
        return
      }
      sent += burstMessages
      socket.write(bursts[turn++ % burstCount]!)
    }
    const read = (byteCount: number, buffer: Uint8Array): boolean => {
      const received = Buffer.from(buffer.buffer, buffer.byteOffset, byteCount)
      const bytes = rest.length === 0 ? received : Buffer.concat([rest, received])
      const start = isOpen ? 0 : bytes.indexOf('\r\n\r\n') + 4
      if (!isOpen && !bytes.toString('latin1').startsWith('HTTP/1.1 101 '))
        reject(new Error(bytes.toString('latin1')))
      if (!isOpen) send()
      isOpen = true
      const { end, message } = answersIn(bytes, start, counted)
      counted = message
      rest = Buffer.from(bytes.subarray(end))
      if (counted === sent && rest.length === 0) send()
      return true
    }
    const onread = { buffer: Buffer.allocUnsafe(readBytesMax), callback: read }
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread })
    socket.once('error', reject)
    socket.write(handshake())
  })
}

/**
 * The end of the last whole answer, and up to which message they go. Of single answers only the last one is
 * looked at: its number must be that of the answers.
 */
function answersIn(bytes: Buffer, start: number, counted: number): { end: number; message: number } {
  let end = start
  let last = -1
  let message = counted
  while (end + frameHeadBytes <= bytes.length) {
    const next = end + frameHeadBytes + bytes[end + 1]!
    if (bytes[end] !== 0x81 || bytes[end + 1]! > 125) throw new Error(`no answer: ${bytes.subarray(end)}`)
    if (next > bytes.length) break
    if (answers === 'joined') {
      const answer = parse(bytes, end, next)
      message += answer.messages ?? Number.NaN
      if (answer.message !== message || answer.accepted !== answer.messages) throw unexpected(answer)
    } else {
      message++
    }
    last = end
    end = next
  }
  if (answers === 'single' && last !== -1) {
    const answer = parse(bytes, last, end)
    if (answer.message !== message || answer.accepted !== 1) throw unexpected(answer)
  }
  return { end, message }
}

function parse(bytes: Buffer, start: number, end: number): Answer {
  return JSON.parse(bytes.toString('latin1', start + frameHeadBytes, end))
}

function unexpected(answer: Answer): Error {
  return new Error(`unexpected: ${JSON.stringify(answer)}`)
}

/** A masked text frame of at most 125 bytes (RFC 6455, 5.2). */
function frame(text: string): Buffer {
  const mask = randomBytes(4)
  const masked = Buffer.from(text).map((byte, index) => byte ^ mask[index % 4]!)
  return Buffer.concat([Buffer.from([0x81, 0x80 | masked.length]), mask, masked])
}

function handshake(): string {
  const key = randomBytes(16).toString('base64')
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13'
  return `GET /stream?answers=${answers} HTTP/1.1\r\nHost: bench\r\n${upgrade}\r\nSec-WebSocket-Key: ${key}\r\n\r\n`
}
