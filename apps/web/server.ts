import { App, type HttpRequest, type HttpResponse, us_listen_socket_close as close } from 'uWebSockets.js'
import { type Clock, sleep } from '../../lib/clock.ts'
import type { RepeatedError } from '../../lib/process/log.ts'
import { metricsContentType } from '../../lib/process/metrics.ts'
import { readinessBody, type StatusSource } from '../../lib/process/status-server.ts'
import { endHead, endPage } from './http/responses.ts'
import type { Connections } from './connections.ts'
import { readFraming } from '../../intake/http/request-head.ts'
import type { IncrementRoute } from './http/increment-route.ts'
import type { Intake } from '../../intake/count/intake.ts'
import { Listener } from './listener.ts'
import { isPreflight, type Origins } from '../../intake/http/origins.ts'
import { answerPreflight, refusedPage } from './http/pages.ts'
import type { ProblemCode } from '../../intake/parse/problems.ts'
import type { Requests } from './http/requests.ts'
import type { StreamRoute } from './stream/stream-route.ts'
import type { UnreadAnswers } from './write-buffers.ts'
import { usage } from './http/usage.ts'

/** While stopping: how long connections may stay on which no request is under way. */
const idleGraceMs = 200
const drainIntervalMs = 5

export interface ServerOptions {
  readonly intake: Intake
  readonly requests: Requests
  readonly route: IncrementRoute
  readonly streams: StreamRoute
  readonly connections: Connections
  readonly origins: Origins
  readonly unread: UnreadAnswers
  readonly descriptorsMax: number
  /** Descriptors are short: new connections have to wait. */
  readonly descriptorsError: RepeatedError
  readonly status: StatusSource
  readonly clock: Clock
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
  readonly #listener: Listener

  constructor(options: ServerOptions) {
    this.#options = options
    const { route, streams, connections, status } = options
    const app = this.#app
    this.#listener = new Listener({ ...options, app, close, error: options.descriptorsError })
    // biome-ignore lint/suspicious/useIterableCallbackReturn: this filter is not an array's
    app.filter((_response, change) => {
      connections.count += Number(change)
      if (Number(change) > 0) this.#listener.accepted()
    })
    app.post('/increment', (response, request) => route.handle(response, request))
    app.options('/increment', (response, request) => this.#preflight(response, request))
    this.#otherwise('/increment', 'method_not_allowed', 'POST')
    app.ws('/stream', streams.behavior)
    app.get('/stream', this.#refusing('upgrade_required'))
    this.#otherwise('/stream', 'method_not_allowed', 'GET')
    this.#page('/', 'text/plain; charset=utf-8', async () => ({ body: usage(this.#listener.port) }))
    this.#page('/healthz', 'application/json', async () => ({ body: '{"alive":true}' }))
    this.#page('/readyz', 'application/json', async () => this.#readiness())
    this.#page('/metrics', metricsContentType, async () => ({ body: await status.metricsText() }))
    this.#otherwise('/*', 'not_found')
  }

  get isListening(): boolean {
    return this.#listener.isListening
  }

  /** Other web processes may share the port. Returns false when the operating system refuses it. */
  listen(host: string, port: number): boolean {
    return this.#listener.listen(host, port)
  }

  /**
   * Takes no new connections, answers what is under way and closes each connection with its answer. Requests
   * that are not complete at the deadline are cut, uncounted.
   */
  async drain(timeoutMs: number): Promise<void> {
    const { clock, requests, streams, connections } = this.#options
    requests.startDraining()
    streams.startDraining()
    this.#listener.stop()
    const deadlineMs = clock.monotonicMs() + timeoutMs
    let idleEndMs = clock.monotonicMs() + idleGraceMs
    while (connections.count > 0) {
      const nowMs = clock.monotonicMs()
      if (requests.underWayCount + streams.underWayCount > 0) idleEndMs = nowMs + idleGraceMs
      if (nowMs >= Math.min(idleEndMs, deadlineMs)) break
      await sleep(clock, drainIntervalMs)
    }
    streams.giveUp()
    this.#app.close()
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
    const { requests, intake, unread } = this.#options
    const handle = this.#handler((response, isHead) => {
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
            else if (requests.isDraining) response.end(body, true)
            else endPage(response, body, unread)
          })
        },
        error => {
          intake.internalError(error)
          if (!isAborted) requests.refuse(response, 'fault', { isHead, isLast: true })
        },
      )
    })
    this.#app.get(path, handle)
    this.#app.head(path, handle)
    this.#otherwise(path, 'method_not_allowed', 'GET, HEAD')
  }

  /** Answers what a browser asks before it sends the request of a page from elsewhere. */
  #preflight(response: HttpResponse, request: HttpRequest): void {
    const { requests, origins } = this.#options
    readFraming(request)
    const refused = isPreflight(request) ? refusedPage(origins, request, response) : 'method_not_allowed'
    const handle =
      refused === null
        ? this.#handler(asked => answerPreflight(asked, requests.isDraining))
        : this.#refusing(refused, 'POST')
    handle(response, request)
  }

  /** Refuses what has no other handler. */
  #otherwise(path: string, code: ProblemCode, allow?: string): void {
    this.#app.any(path, this.#refusing(code, allow))
  }

  #refusing(code: ProblemCode, allow?: string): Handler {
    const { requests } = this.#options
    return this.#handler((response, isHead) => {
      requests.refuse(response, code, {
        isHead,
        isLast: requests.isDraining,
        ...(allow !== undefined && { allow }),
      })
    })
  }

  /** A handler that does `work`, which answers the request, when its body is over, if it has one. */
  #handler(work: (response: HttpResponse, isHead: boolean) => void): Handler {
    const { requests } = this.#options
    return (response, request) => {
      const isHead = request.getCaseSensitiveMethod() === 'HEAD'
      const framing = readFraming(request)
      if (framing === 'ambiguous') requests.refuseUnderWay(response, 'framing_ambiguous')
      else if (framing === 'body') requests.skipBody(response, () => work(response, isHead))
      else work(response, isHead)
    }
  }
}

type Handler = (response: HttpResponse, request: HttpRequest) => void
