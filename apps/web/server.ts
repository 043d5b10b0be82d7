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
import { endHead } from './answer.ts'
import type { Connections } from './connections.ts'
import { isFramingAmbiguous } from './head.ts'
import type { IncrementRoute } from './increment-route.ts'
import type { Ingest } from './ingest.ts'
import type { ProblemCode } from './problems.ts'
import type { StreamRoute } from './stream-route.ts'
import { usage } from './usage.ts'

/** While stopping: how long connections may stay on which no request is under way. */
const idleGraceMs = 200
const drainIntervalMs = 5

export interface ServerOptions {
  readonly ingest: Ingest
  readonly route: IncrementRoute
  readonly streams: StreamRoute
  readonly connections: Connections
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
  #listenSocket: us_listen_socket | null = null

  constructor(options: ServerOptions) {
    this.#options = options
    // biome-ignore lint/suspicious/useIterableCallbackReturn: this filter is not an array's
    this.#app.filter((_response, change) => {
      options.connections.count += Number(change)
    })
    this.#app.post('/increment', options.route.handle)
    this.#otherwise('/increment', 'method_not_allowed', 'POST')
    this.#app.ws('/stream', options.streams.behavior)
    this.#app.get('/stream', (response, request) => this.#refuse(response, request, 'upgrade_required'))
    this.#otherwise('/stream', 'method_not_allowed', 'GET')
    this.#page('/', 'text/plain; charset=utf-8', async () => ({ body: usage }))
    this.#page('/healthz', 'application/json', async () => ({ body: '{"alive":true}' }))
    this.#page('/readyz', 'application/json', async () => this.#readiness())
    this.#page('/metrics', metricsContentType, async () => ({ body: await options.status.metricsText() }))
    this.#otherwise('/*', 'not_found')
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
    const { clock, route, streams, connections } = this.#options
    route.startDraining()
    streams.startDraining()
    if (this.#listenSocket !== null) us_listen_socket_close(this.#listenSocket)
    this.#listenSocket = null
    const deadlineMs = clock.monotonicMs() + timeoutMs
    let idleEndMs = clock.monotonicMs() + idleGraceMs
    while (connections.count > 0) {
      const nowMs = clock.monotonicMs()
      if (route.underWayCount + streams.underWayCount > 0) idleEndMs = nowMs + idleGraceMs
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
    const answer = (response: HttpResponse, request: HttpRequest) => {
      const isHead = isHeadRequest(request)
      if (isFramingAmbiguous(request))
        return this.#options.route.refuseUnderWay(response, 'framing_ambiguous')
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
            else response.end(body, this.#options.route.isDraining)
          })
        },
        error => {
          this.#options.ingest.fault(error)
          if (!isAborted)
            response.cork(() => this.#options.route.refuse(response, 'fault', { isHead, isLast: true }))
        },
      )
    }
    this.#app.get(path, answer)
    this.#app.head(path, answer)
    this.#otherwise(path, 'method_not_allowed', 'GET, HEAD')
  }

  /** Refuses what has no other handler. */
  #otherwise(path: string, code: ProblemCode, allow?: string): void {
    this.#app.any(path, (response, request) => this.#refuse(response, request, code, allow))
  }

  #refuse(response: HttpResponse, request: HttpRequest, code: ProblemCode, allow?: string): void {
    const { route } = this.#options
    if (isFramingAmbiguous(request)) {
      route.refuseUnderWay(response, 'framing_ambiguous')
    } else {
      const head = { isHead: isHeadRequest(request), isLast: route.isDraining }
      route.refuse(response, code, { ...head, ...(allow !== undefined && { allow }) })
    }
  }
}

function isHeadRequest(request: HttpRequest): boolean {
  return request.getCaseSensitiveMethod() === 'HEAD'
}
