import {
  App,
  type HttpRequest,
  type HttpResponse,
  type us_listen_socket,
  us_listen_socket_close,
} from 'uWebSockets.js'
import { type Clock, sleep } from '../../lib/clock.ts'
import { metricsContentType } from '../../lib/metrics.ts'
import { readinessBody, type StatusSource } from '../../lib/status-server.ts'
import { Body } from './body.ts'
import { type Head, readHead } from './head.ts'
import type { Ingest } from './ingest.ts'
import { type IncrementProblem, problemBody, type ProblemCode, problems, statusLine } from './problems.ts'
import { usage } from './usage.ts'

/** While stopping: how long idle keep-alive connections may stay before they are cut. */
const idleGraceMs = 200

interface Refusal {
  readonly errors?: readonly IncrementProblem[]
  readonly allow?: string
  /** Close the connection after the answer; by default only while draining. */
  readonly isLast?: boolean
}

export interface ServerOptions {
  readonly ingest: Ingest
  readonly status: StatusSource
  readonly clock: Clock
  readonly bodyBytesMax: number
}

/**
 * The HTTP side of a web process. Every handler answers, whatever it is given, and never throws into
 * uWebSockets.js.
 */
export class Server {
  readonly #options: ServerOptions
  readonly #app = App()
  #listenSocket: us_listen_socket | null = null
  #connectionCount = 0
  #isDraining = false

  constructor(options: ServerOptions) {
    this.#options = options
    // biome-ignore lint/suspicious/useIterableCallbackReturn: this filter is not an array's
    this.#app.filter((_response, change) => {
      this.#connectionCount += Number(change)
    })
    this.#app.post('/increment', (response, request) => this.#increment(response, request))
    this.#app.any('/increment', response => this.#refuse(response, 'method_not_allowed', { allow: 'POST' }))
    this.#page('/', 'text/plain; charset=utf-8', async () => ({ body: usage }))
    this.#page('/healthz', 'application/json', async () => ({ body: '{"alive":true}' }))
    this.#page('/readyz', 'application/json', async () => this.#readiness())
    this.#page('/metrics', metricsContentType, async () => ({ body: await options.status.metricsText() }))
    this.#app.any('/*', response => this.#refuse(response, 'not_found'))
  }

  get connectionCount(): number {
    return this.#connectionCount
  }

  /** Other web processes may share the port. Resolves to false when the operating system refuses it. */
  listen(host: string, port: number): Promise<boolean> {
    return new Promise(resolve => {
      this.#app.listen(host, port, socket => {
        this.#listenSocket = socket || null
        resolve(this.#listenSocket !== null)
      })
    })
  }

  /** Takes no new connections, answers what is under way and closes each connection with its answer. */
  async drain(timeoutMs: number): Promise<void> {
    const { clock } = this.#options
    this.#isDraining = true
    if (this.#listenSocket !== null) us_listen_socket_close(this.#listenSocket)
    this.#listenSocket = null
    const deadlineMs = clock.monotonicMs() + Math.min(timeoutMs, idleGraceMs)
    while (this.#connectionCount > 0 && clock.monotonicMs() < deadlineMs) await sleep(clock, 5)
    this.#app.close()
  }

  #increment(response: HttpResponse, request: HttpRequest): void {
    response.onAborted(ignoreAbort)
    try {
      const head = readHead(request)
      if (typeof head === 'string') this.#refuse(response, head, unread)
      else if (head.contentLength > this.#options.bodyBytesMax)
        this.#refuse(response, 'body_too_large', unread)
      else {
        const body = new Body(this.#options.bodyBytesMax)
        response.onData((chunk, isLast) => this.#receive(response, head, body, chunk, isLast))
      }
    } catch (error) {
      this.#fault(response, error)
    }
  }

  #receive(response: HttpResponse, head: Head, body: Body, chunk: ArrayBuffer, isLast: boolean): void {
    try {
      const bytes = body.add(chunk, isLast)
      if (bytes === 'too large') this.#refuse(response, 'body_too_large', unread)
      else if (bytes !== null) this.#count(response, head, bytes)
    } catch (error) {
      this.#fault(response, error)
    }
  }

  #count(response: HttpResponse, { contentType, query }: Head, body: Buffer): void {
    const outcome = this.#options.ingest.count(contentType, query, body)
    if (outcome.code !== null) {
      this.#refuse(response, outcome.code, { errors: outcome.errors })
      return
    }
    response.writeHeader('Content-Type', 'application/json')
    response.end(outcome.accepted === 1 ? acceptedOne : acceptedBody(outcome.accepted), this.#isDraining)
  }

  #refuse(response: HttpResponse, code: ProblemCode, { errors, allow, isLast }: Refusal = {}): void {
    this.#options.ingest.refused(code)
    response.writeStatus(statusLine(code))
    response.writeHeader('Content-Type', 'application/problem+json')
    if (allow !== undefined) response.writeHeader('Allow', allow)
    if (problems[code].status === 503) response.writeHeader('Retry-After', '1')
    response.end(problemBody(code, errors), isLast ?? this.#isDraining)
  }

  /** Nothing may be thrown into uWebSockets.js: it would end the process, or never answer the request. */
  #fault(response: HttpResponse, error: unknown): void {
    this.#options.ingest.fault(error)
    this.#refuse(response, 'fault', unread)
  }

  #readiness(): { status: string; body: string } {
    const readiness = this.#options.status.readiness()
    return {
      status: readiness.reasons.length === 0 ? '200 OK' : '503 Service Unavailable',
      body: readinessBody(readiness),
    }
  }

  /** A page for GET and HEAD. */
  #page(path: string, type: string, make: () => Promise<{ status?: string; body: string }>): void {
    const answer = (response: HttpResponse, isHead: boolean) => {
      let isAborted = false
      response.onAborted(() => {
        isAborted = true
      })
      make().then(
        ({ status = '200 OK', body }) => {
          if (isAborted) return
          response.cork(() => {
            response.writeStatus(status).writeHeader('Content-Type', type)
            if (isHead) response.endWithoutBody(Buffer.byteLength(body), this.#isDraining)
            else response.end(body, this.#isDraining)
          })
        },
        error => {
          if (!isAborted) response.cork(() => this.#fault(response, error))
        },
      )
    }
    this.#app.get(path, response => answer(response, false))
    this.#app.head(path, response => answer(response, true))
    this.#app.any(path, response => this.#refuse(response, 'method_not_allowed', { allow: 'GET, HEAD' }))
  }
}

/** What follows on the connection is not to be trusted, or not worth reading: it is closed. */
const unread: Refusal = { isLast: true }

const acceptedOne = acceptedBody(1)

function acceptedBody(accepted: number): string {
  return `{"accepted":${accepted},"ack":"memory"}`
}

/** An abort before the last byte of the body: nothing was counted, and there is nobody to tell. */
function ignoreAbort(): void {}
