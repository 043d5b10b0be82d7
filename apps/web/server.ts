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
import { answerAccepted, answerLater, answerProblem, endHead, type Refusal } from './answer.ts'
import { Body } from './body.ts'
import { type Head, isFramingAmbiguous, readHead } from './head.ts'
import type { Ingest } from './ingest.ts'
import type { ProblemCode } from './problems.ts'
import { usage } from './usage.ts'

/** While stopping: how long connections may stay on which no request is under way. */
const idleGraceMs = 200
const drainIntervalMs = 5

export interface ServerOptions {
  readonly ingest: Ingest
  readonly status: StatusSource
  readonly clock: Clock
  readonly bodyBytesMax: number
}

interface Page {
  readonly status?: string
  readonly body: string
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
  /** Increment requests that are not answered yet. */
  #underWayCount = 0
  #isDraining = false
  /**
   * The client went away before the last byte of its body: nothing was counted, and there is nobody to
   * tell.
   */
  readonly #onAborted = () => {
    this.#underWayCount--
  }

  constructor(options: ServerOptions) {
    this.#options = options
    // biome-ignore lint/suspicious/useIterableCallbackReturn: this filter is not an array's
    this.#app.filter((_response, change) => {
      this.#connectionCount += Number(change)
    })
    this.#app.post('/increment', this.#increment)
    this.#otherwise('/increment', 'method_not_allowed', 'POST')
    this.#page('/', 'text/plain; charset=utf-8', async () => ({ body: usage }))
    this.#page('/healthz', 'application/json', async () => ({ body: '{"alive":true}' }))
    this.#page('/readyz', 'application/json', async () => this.#readiness())
    this.#page('/metrics', metricsContentType, async () => ({ body: await options.status.metricsText() }))
    this.#otherwise('/*', 'not_found')
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

  /**
   * Takes no new connections, answers what is under way and closes each connection with its answer. What is
   * not complete at the deadline is cut, uncounted.
   */
  async drain(timeoutMs: number): Promise<void> {
    const { clock } = this.#options
    this.#isDraining = true
    if (this.#listenSocket !== null) us_listen_socket_close(this.#listenSocket)
    this.#listenSocket = null
    const startedMs = clock.monotonicMs()
    while (this.#connectionCount > 0) {
      const elapsedMs = clock.monotonicMs() - startedMs
      if (elapsedMs >= (this.#underWayCount > 0 ? timeoutMs : idleGraceMs)) break
      await sleep(clock, drainIntervalMs)
    }
    this.#app.close()
  }

  readonly #increment = (response: HttpResponse, request: HttpRequest): void => {
    this.#underWayCount++
    response.onAborted(this.#onAborted)
    try {
      const head = readHead(request, this.#options.bodyBytesMax)
      if (typeof head === 'string') {
        this.#refuseAndClose(response, head)
      } else {
        /** Null while there was nothing that is not the last. */
        let body: Body | null = null
        response.onData((chunk, isLast) => {
          if (isLast && body === null && !head.isChunked && !this.#isDraining) {
            this.#receiveWhole(response, head, chunk)
          } else {
            body ??= new Body(this.#options.bodyBytesMax)
            this.#receive(response, head, body, chunk, isLast)
          }
        })
      }
    } catch (error) {
      this.#fault(response, error)
    }
  }

  /** The usual case: the whole body in one piece, within the bound that its length was checked against. */
  #receiveWhole(response: HttpResponse, head: Head, chunk: ArrayBuffer): void {
    try {
      this.#count(response, head, new Uint8Array(chunk))
    } catch (error) {
      this.#fault(response, error)
    }
  }

  #receive(response: HttpResponse, head: Head, body: Body, chunk: ArrayBuffer, isLast: boolean): void {
    try {
      const bytes = body.add(chunk, isLast)
      if (bytes === null) return
      if (bytes === 'too large') {
        this.#refuseAndClose(response, 'body_too_large')
      } else if (head.isChunked || this.#isDraining) {
        const copy = Buffer.from(bytes)
        this.#later(response, () => this.#count(response, head, copy))
      } else {
        this.#count(response, head, bytes)
      }
    } catch (error) {
      this.#fault(response, error)
    }
  }

  #count(response: HttpResponse, { contentType, query }: Head, body: Uint8Array): void {
    const outcome = this.#options.ingest.count(contentType, query, body)
    this.#underWayCount--
    if (outcome.code === null) answerAccepted(response, outcome.accepted, this.#isDraining)
    else this.#refuse(response, outcome.code, { errors: outcome.errors, isLast: this.#isDraining })
  }

  #refuse(response: HttpResponse, code: ProblemCode, refusal: Refusal): void {
    this.#options.ingest.refused(code)
    answerProblem(response, code, refusal)
  }

  /** What follows on the connection is not to be trusted, or not worth reading. */
  #refuseAndClose(response: HttpResponse, code: ProblemCode): void {
    this.#later(response, () => {
      this.#underWayCount--
      this.#refuse(response, code, { isLast: true })
    })
  }

  /** Nothing may be thrown into uWebSockets.js: it would end the process, or never answer the request. */
  #fault(response: HttpResponse, error: unknown): void {
    this.#options.ingest.fault(error)
    this.#refuseAndClose(response, 'fault')
  }

  #later(response: HttpResponse, work: () => void): void {
    answerLater(response, this.#onAborted, () => {
      try {
        work()
      } catch (error) {
        this.#fault(response, error)
      }
    })
  }

  #readiness(): Page {
    const readiness = this.#options.status.readiness()
    return {
      status: readiness.reasons.length === 0 ? '200 OK' : '503 Service Unavailable',
      body: readinessBody(readiness),
    }
  }

  /** A page for GET and HEAD. */
  #page(path: string, type: string, make: () => Promise<Page>): void {
    const answer = (response: HttpResponse, request: HttpRequest) => {
      const isHead = isHeadRequest(request)
      if (isFramingAmbiguous(request)) return this.#refuseUnderWay(response, 'framing_ambiguous')
      let isAborted = false
      response.onAborted(() => {
        isAborted = true
      })
      make().then(
        ({ status = '200 OK', body }) => {
          if (isAborted) return
          response.cork(() => {
            response.writeStatus(status).writeHeader('Content-Type', type)
            if (isHead) endHead(response, body)
            else response.end(body, this.#isDraining)
          })
        },
        error => {
          this.#options.ingest.fault(error)
          if (!isAborted) response.cork(() => this.#refuse(response, 'fault', { isHead, isLast: true }))
        },
      )
    }
    this.#app.get(path, answer)
    this.#app.head(path, answer)
    this.#otherwise(path, 'method_not_allowed', 'GET, HEAD')
  }

  /** Refuses what has no other handler. */
  #otherwise(path: string, code: ProblemCode, allow?: string): void {
    this.#app.any(path, (response, request) => {
      if (isFramingAmbiguous(request)) return this.#refuseUnderWay(response, 'framing_ambiguous')
      const isHead = isHeadRequest(request)
      this.#refuse(response, code, {
        isHead,
        isLast: this.#isDraining,
        ...(allow !== undefined && { allow }),
      })
    })
  }

  #refuseUnderWay(response: HttpResponse, code: ProblemCode): void {
    this.#underWayCount++
    this.#refuseAndClose(response, code)
  }
}

function isHeadRequest(request: HttpRequest): boolean {
  return request.getCaseSensitiveMethod() === 'HEAD'
}
