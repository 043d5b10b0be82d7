import { createConnection, type Socket } from 'node:net'

/** How long an answer, or the end of a connection, may take before the test fails. */
const answerTimeoutMs = 10_000

const blankLine = Buffer.from('\r\n\r\n')

export interface RawAnswer {
  readonly status: number
  /** Headers by lower-case name; one that is there twice has both values, joined by a comma. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

export interface RequestParts {
  readonly method?: string
  readonly target?: string
  readonly version?: string
  /** Empty: no such header. */
  readonly type?: string
  /** Each with its line break. */
  readonly headers?: string
}

export const hostHeader = 'Host: localhost\r\n'

/** The head of a request, and nothing that says how long its body is. */
export function requestHead({
  method = 'POST',
  target = '/increment',
  version = 'HTTP/1.1',
  type = '',
  headers = '',
}: RequestParts = {}): string {
  const typeHeader = type === '' ? '' : `Content-Type: ${type}\r\n`
  return `${method} ${target} ${version}\r\n${hostHeader}${typeHeader}${headers}\r\n`
}

/** A whole request with its length, one character a byte; a body given as text is sent as UTF-8. */
export function post(body: string | Buffer, { headers = '', ...parts }: RequestParts = {}): string {
  const bytes = Buffer.from(body as string)
  const length = `Content-Length: ${bytes.length}\r\n`
  return requestHead({ ...parts, headers: length + headers }) + bytes.toString('latin1')
}

/** Chunks without the one that ends them; ASCII. */
export function chunks(...texts: string[]): string {
  return texts.map(text => `${text.length.toString(16)}\r\n${text}\r\n`).join('')
}

/** A whole request in chunks. */
export function postChunks(...texts: string[]): string {
  return `${requestHead({ headers: 'Transfer-Encoding: chunked\r\n' })}${chunks(...texts)}0\r\n\r\n`
}

/** An answer, and how many bytes of the input it took. */
interface Parsed {
  readonly answer: RawAnswer
  readonly byteCount: number
}

/**
 * One connection to a server on the loopback interface that sends the very bytes it is given, however wrong,
 * and reads what comes back. Strings are Latin-1: one character, one byte.
 */
export class RawConnection {
  readonly #socket: Socket
  /** Bytes that have come in and were not yet handed out as an answer. */
  #unread: Buffer = Buffer.alloc(0)
  #isClosed = false
  /** Ends the wait for more input; null while nobody waits. */
  #wake: (() => void) | null = null

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', chunk => {
      this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
      this.#wake?.()
    })
    const closed = () => {
      this.#isClosed = true
      this.#wake?.()
    }
    socket.on('end', closed)
    socket.on('close', closed)
    // A reset is one way of closing; what matters to a test is what came before it.
    socket.on('error', closed)
  }

  static connect(port: number): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new RawConnection(socket))
      })
    })
  }

  /** The server has closed its side, or reset the connection. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Bytes that have come in beside the answers that were taken. */
  get unread(): string {
    return this.#unread.toString('latin1')
  }

  /** Sends without waiting; to a connection that is closed already, nothing. */
  send(bytes: string | Buffer): void {
    if (this.#socket.writable) this.#socket.write(bytes as string, 'latin1')
  }

  /** The next answer. `isHead`: the answer to HEAD, which has the length of a body and no body. */
  async answer({ isHead = false } = {}): Promise<RawAnswer> {
    for (;;) {
      const parsed = parseAnswer(this.#unread, { isHead, isClosed: this.#isClosed })
      if (parsed !== null) {
        this.#unread = this.#unread.subarray(parsed.byteCount)
        return parsed.answer
      }
      if (this.#isClosed) throw new Error(`closed before an answer; came: ${JSON.stringify(this.unread)}`)
      await this.#more('an answer')
    }
  }

  /** All answers up to the end of the connection, which the server must close. */
  async answersToEnd(): Promise<RawAnswer[]> {
    await this.closed()
    const answers: RawAnswer[] = []
    while (this.#unread.length > 0) answers.push(await this.answer())
    return answers
  }

  /** Waits until the server has closed the connection. */
  async closed(): Promise<void> {
    while (!this.#isClosed) await this.#more('the end of the connection')
  }

  /** Says that nothing more will be sent, and still reads. */
  halfClose(): void {
    if (this.#socket.writable) this.#socket.end()
  }

  /** Resets the connection, as the crash of a client does. */
  abort(): void {
    this.#socket.resetAndDestroy()
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }

  async #more(what: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        this.#wake = resolve
        const late = () => reject(new Error(`no sign of ${what} after ${answerTimeoutMs} ms`))
        timer = setTimeout(late, answerTimeoutMs)
      })
    } finally {
      clearTimeout(timer)
      this.#wake = null
    }
  }
}

/**
 * Parses the answer at the beginning; null while it is not complete. An answer without a length goes on to
 * the end of the connection. Throws on anything else.
 */
function parseAnswer(
  bytes: Buffer,
  { isHead, isClosed }: { isHead: boolean; isClosed: boolean },
): Parsed | null {
  const headEnd = bytes.indexOf(blankLine)
  if (headEnd === -1) return null
  const [statusLine, ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n')
  const match = /^HTTP\/1\.1 ([0-9]{3}) /.exec(statusLine!)
  if (match === null) throw new Error(`no status line: ${JSON.stringify(statusLine)}`)
  const status = Number(match[1])
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    const earlier = headers.get(name)
    headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`)
  }
  const start = headEnd + blankLine.length
  const hasBody = !isHead && status >= 200
  const length = hasBody ? Number(headers.get('content-length') ?? Number.POSITIVE_INFINITY) : 0
  if (Number.isNaN(length)) throw new Error(`no length: ${headers.get('content-length')}`)
  const end = start + length
  if (bytes.length < end && (length !== Number.POSITIVE_INFINITY || !isClosed)) return null
  const body = bytes.toString('utf8', start, Math.min(end, bytes.length))
  return { answer: { status, headers, body }, byteCount: Math.min(end, bytes.length) }
}
