import {
  App,
  type HttpRequest,
  type HttpResponse,
  type TemplatedApp,
  type us_listen_socket,
  us_listen_socket_close,
} from 'uWebSockets.js'
import { type Clock, sleep } from '../../lib/clock.ts'
import { metricsContentType } from '../../lib/metrics.ts'
import { readinessBody, type StatusSource } from '../../lib/status-server.ts'
import { endHead } from './answer.ts'
import type { Connections } from './connections.ts'
import { readFraming } from './head.ts'
import type { IncrementRoute } from './increment-route.ts'
import type { Ingest } from './ingest.ts'
import type { ProblemCode } from './problems.ts'
import type { StreamRoute } from './stream-route.ts'
import type { Source, Turn } from './turn.ts'
import { usage } from './usage.ts'

/** While stopping: how long connections may stay on which no request is under way. */
const idleGraceMs = 200
const drainIntervalMs = 5

export interface ServerOptions {
  readonly ingest: Ingest
  readonly route: IncrementRoute
  readonly streams: StreamRoute
  readonly connections: Connections
  readonly turn: Turn
  readonly status: StatusSource
  readonly clock: Clock
}

interface Page {
  readonly status?: string
  readonly body: string
}

/**
 * How many apps of uWebSockets.js share the port, and its connections, as the kernel spreads them. It tells a handler
 * nothing about the connection of a request: only that two of different apps are not of the same.
 */
const appCount = 16

interface Door extends Source {
  readonly app: TemplatedApp
  connectionCount: number
  listenSocket: us_listen_socket | null
}

/**
 * The HTTP side of a web process. Every handler answers, whatever it is given, and never throws into
 * uWebSockets.js.
 */
export class Server {
  readonly #options: ServerOptions
  readonly #doors: readonly Door[]

  constructor(options: ServerOptions) {
    this.#options = options
    this.#doors = Array.from({ length: appCount }, () => this.#door())
  }

  #door(): Door {
    const { route, streams, connections, turn, status } = this.#options
    const app = App()
    const door: Door = { app, connectionCount: 0, listenSocket: null }
    // biome-ignore lint/suspicious/useIterableCallbackReturn: this filter is not an array's
    app.filter((_response, change) => {
      connections.count += Number(change)
      door.connectionCount += Number(change)
      if (Number(change) < 0) turn.connectionClosed()
    })
    app.post('/increment', (response, request) => route.handle(response, request, door))
    this.#otherwise(door, '/increment', 'method_not_allowed', 'POST')
    app.ws('/stream', streams.behavior(door))
    app.get('/stream', this.#refusing(door, 'upgrade_required'))
    this.#otherwise(door, '/stream', 'method_not_allowed', 'GET')
    this.#page(door, '/', 'text/plain; charset=utf-8', async () => ({ body: usage }))
    this.#page(door, '/healthz', 'application/json', async () => ({ body: '{"alive":true}' }))
    this.#page(door, '/readyz', 'application/json', async () => this.#readiness())
    this.#page(door, '/metrics', metricsContentType, async () => ({ body: await status.metricsText() }))
    this.#otherwise(door, '/*', 'not_found')
    return door
  }

  /** Other web processes may share the port. Resolves to false when the operating system refuses it. */
  async listen(host: string, port: number): Promise<boolean> {
    for (const door of this.#doors) {
      await new Promise<void>(resolve => {
        door.app.listen(host, port, socket => {
          door.listenSocket = socket || null
          resolve()
        })
      })
    }
    if (this.#doors.every(({ listenSocket }) => listenSocket !== null)) return true
    this.#stopListening()
    return false
  }

  #stopListening(): void {
    for (const door of this.#doors) {
      if (door.listenSocket !== null) us_listen_socket_close(door.listenSocket)
      door.listenSocket = null
    }
  }

  /**
   * Takes no new connections, answers what is under way and closes each connection with its answer. What is
   * not complete at the deadline is cut, uncounted.
   */
  async drain(timeoutMs: number): Promise<void> {
    const { clock, route, streams, connections } = this.#options
    route.startDraining()
    streams.startDraining()
    this.#stopListening()
    const deadlineMs = clock.monotonicMs() + timeoutMs
    let idleEndMs = clock.monotonicMs() + idleGraceMs
    while (connections.count > 0) {
      const nowMs = clock.monotonicMs()
      if (route.underWayCount + streams.underWayCount > 0) idleEndMs = nowMs + idleGraceMs
      if (nowMs >= Math.min(idleEndMs, deadlineMs)) break
      await sleep(clock, drainIntervalMs)
    }
    streams.giveUp()
    for (const { app } of this.#doors) app.close()
  }

  #readiness(): Page {
    const readiness = this.#options.status.readiness()
    return {
      status: readiness.reasons.length === 0 ? '200 OK' : '503 Service Unavailable',
      body: readinessBody(readiness),
    }
  }

  /** A page for GET and HEAD. */
  #page(door: Door, path: string, type: string, make: () => Promise<Page>): void {
    const { route, ingest } = this.#options
    const handle = this.#handler(door, (response, isHead) => {
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
            else response.end(body, route.isDraining)
          })
        },
        error => {
          ingest.fault(error)
          if (!isAborted) route.refuse(response, 'fault', { isHead, isLast: true })
        },
      )
    })
    door.app.get(path, handle)
    door.app.head(path, handle)
    this.#otherwise(door, path, 'method_not_allowed', 'GET, HEAD')
  }

  /** Refuses what has no other handler. */
  #otherwise(door: Door, path: string, code: ProblemCode, allow?: string): void {
    door.app.any(path, this.#refusing(door, code, allow))
  }

  #refusing(door: Door, code: ProblemCode, allow?: string): Handler {
    const { route } = this.#options
    return this.#handler(door, (response, isHead) => {
      route.refuse(response, code, {
        isHead,
        isLast: route.isDraining,
        ...(allow !== undefined && { allow }),
      })
    })
  }

  /** A handler that does `work`, which answers the request, when its body is over, if it has one. */
  #handler(door: Door, work: (response: HttpResponse, isHead: boolean) => void): Handler {
    const { route } = this.#options
    return (response, request) => {
      const isHead = request.getCaseSensitiveMethod() === 'HEAD'
      if (!route.hasShare(response, door, isHead)) return
      const framing = readFraming(request)
      if (framing === 'ambiguous') route.refuseUnderWay(response, 'framing_ambiguous', door)
      else if (framing === 'body') route.skipBody(response, door, () => work(response, isHead))
      else work(response, isHead)
    }
  }
}

type Handler = (response: HttpResponse, request: HttpRequest) => void
