import { createConnection, type Socket } from 'node:net'
import { until } from './condition.ts'

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

export interface FrameParts {
  readonly opcode?: number
  readonly isFinal?: boolean
  readonly isMasked?: boolean
}

/** A frame as a client sends it, masked. */
export function frame(
  payload: string | Buffer,
  { opcode = opcodes.text, isFinal = true, isMasked = true }: FrameParts = {},
): Buffer {
  const bytes = Buffer.from(payload as string)
  const maskBit = isMasked ? 0x80 : 0
  const head = [(isFinal ? 0x80 : 0) | opcode]
  if (bytes.length < 126) head.push(maskBit | bytes.length)
  else if (bytes.length < 65_536) head.push(maskBit | 126, bytes.length >> 8, bytes.length & 0xff)
  else head.push(maskBit | 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map(shift => (bytes.length >> shift) & 0xff))
  if (!isMasked) return Buffer.concat([Buffer.from(head), bytes])
  const mask = [0x12, 0x34, 0x56, 0x78]
  return Buffer.concat([Buffer.from([...head, ...mask]), bytes.map((byte, index) => byte ^ mask[index % 4]!)])
}

/** The message of a single increment. */
export function line(key: string, value = 1): string {
  return JSON.stringify({ key, value })
}

export interface Answer {
  readonly message: number
  /** The number of messages that a joined answer is for. */
  readonly messages?: number
  readonly accepted?: number
  readonly ack?: string
  readonly status?: number
  readonly code?: string
  readonly errors?: readonly { readonly line: number; readonly code: string }[]
}

export interface UpgradeParts {
  /** The query, with its question mark. */
  readonly query?: string
  /** Each with its line break; a later one takes the place of one that is there. */
  readonly headers?: Readonly<Record<string, string | null>>
}

export function upgradeRequest({ query = '', headers = {} }: UpgradeParts = {}): string {
  const all: Record<string, string | null> = {
    Host: 'localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '13',
    ...headers,
  }
  const lines = Object.entries(all).filter(([, value]) => value !== null)
  return `GET /stream${query} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
}

/** A WebSocket that sends the very frames it is given, however wrong, and keeps what comes back. */
export class RawWebSocket {
  readonly socket: Socket
  /** Text messages, in the order in which they came. */
  readonly answers: Answer[] = []
  /** Payloads of pongs. */
  readonly pongs: string[] = []
  pingCount = 0
  /** Clients have to answer pings (RFC 6455, 5.5.2). */
  answersPings = true
  /** Status code of the close frame that came; null while none has. */
  closeCode: number | null = null
  closeReason = ''
  isClosed = false
  #unread: Buffer = Buffer.alloc(0)
  #isOpen = false

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', chunk => this.#read(chunk))
    const closed = () => {
      this.isClosed = true
    }
    socket.on('end', closed)
    socket.on('close', closed)
    socket.on('error', closed)
  }

  static async open(port: number, parts: UpgradeParts = {}): Promise<RawWebSocket> {
    const raw = new RawWebSocket(createConnection({ port, host: '127.0.0.1', allowHalfOpen: true }))
    raw.socket.write(upgradeRequest(parts))
    await until('the stream is open', () => {
      if (raw.isClosed && !raw.#isOpen) throw new Error(`refused: ${raw.#unread.toString()}`)
      return raw.#isOpen
    })
    return raw
  }

  send(...frames: readonly Buffer[]): void {
    if (this.socket.writable) this.socket.write(Buffer.concat(frames))
  }

  sendLines(...lines: readonly string[]): void {
    this.send(...lines.map(each => frame(each)))
  }

  /** The answers, once there are so many. */
  async answered(count: number): Promise<readonly Answer[]> {
    await until(`${count} answers, have ${JSON.stringify(this.answers.slice(-3))}`, () => {
      if (this.isClosed && this.answers.length < count)
        throw new Error(`closed (${this.closeCode}) after ${this.answers.length} answers of ${count}`)
      return this.answers.length >= count
    })
    return this.answers
  }

  async closed(): Promise<void> {
    await until('the end of the stream', () => this.isClosed)
  }

  /** Resets the connection, as the crash of a client does. */
  abort(): void {
    this.socket.resetAndDestroy()
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }

  #read(chunk: Buffer): void {
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    if (!this.#isOpen) {
      const headEnd = this.#unread.indexOf('\r\n\r\n')
      if (headEnd === -1 || !this.#unread.toString('latin1').startsWith('HTTP/1.1 101 ')) return
      this.#isOpen = true
      this.#unread = this.#unread.subarray(headEnd + 4)
    }
    for (;;) {
      const byteCount = this.#frame(this.#unread)
      if (byteCount === 0) return
      this.#unread = this.#unread.subarray(byteCount)
    }
  }

  #answerPing(payload: Buffer): void {
    this.pingCount++
    if (this.answersPings) this.send(frame(payload, { opcode: opcodes.pong }))
  }

  /** Takes the frame at the beginning; returns its length, or 0 while it is not complete. */
  #frame(bytes: Buffer): number {
    if (bytes.length < 2) return 0
    const short = bytes[1]! & 0x7f
    const start = short < 126 ? 2 : short === 126 ? 4 : 10
    if (bytes.length < start) return 0
    const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : bytes.readUInt32BE(6)
    const payload = bytes.subarray(start, start + length)
    if (payload.length < length) return 0
    const opcode = bytes[0]! & 0x0f
    if (opcode === opcodes.text) this.answers.push(JSON.parse(payload.toString()))
    else if (opcode === opcodes.pong) this.pongs.push(payload.toString())
    else if (opcode === opcodes.ping) this.#answerPing(payload)
    else if (opcode === opcodes.close) {
      this.closeCode = length < 2 ? 1005 : payload.readUInt16BE(0)
      this.closeReason = payload.toString('utf8', 2)
    }
    return start + length
  }
}
