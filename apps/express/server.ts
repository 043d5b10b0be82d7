import { createServer } from 'node:http'
import express, { type Request, type Response } from 'express'
import { metricsContentType } from '../../lib/metrics.ts'
import { readinessBody, type StatusSource } from '../../lib/status-server.ts'
import type { Flusher } from '../web/flusher.ts'
import type { Ingest } from '../web/ingest.ts'
import { Origins, type OriginsOptions, preflightHeaders, readable } from '../web/origins.ts'
import { type IncrementProblem, type ProblemCode, problemBody, problems } from '../web/problems.ts'
import { type Ack, acks } from '../web/waiting.ts'

export interface ServerOptions extends StatusSource, OriginsOptions {
  readonly ingest: Ingest
  readonly flusher: Flusher
  readonly bodyBytesMax: number
  readonly defaultAck: Ack
}

/** `POST /increment` with all three acknowledgements, and the pages of an operator. No idempotency keys. */
export class Server {
  readonly #options: ServerOptions
  readonly #http
  readonly #origins: Origins

  constructor(options: ServerOptions) {
    this.#options = options
    this.#origins = new Origins(options)
    const app = express()
    app.disable('x-powered-by')
    app.disable('etag')
    const body = express.raw({ type: () => true, limit: options.bodyBytesMax })
    const origin = (request: Request, response: Response, next: () => void) =>
      this.#checkOrigin(request, response, next)
    app.options('/increment', origin, (_request, response) => {
      for (const [name, value] of Object.entries(preflightHeaders)) response.setHeader(name, value)
      response.status(200).send('')
    })
    app.post('/increment', origin, body, (request, response) => this.#increment(request, response))
    app.get('/healthz', (_request, response) => send(response, 200, 'application/json', '{"alive":true}'))
    app.get('/readyz', (_request, response) => {
      const readiness = options.readiness()
      const status = readiness.reasons.length === 0 ? 200 : 503
      send(response, status, 'application/json', readinessBody(readiness))
    })
    app.get('/metrics', async (_request, response) =>
      send(response, 200, metricsContentType, await options.metricsText()),
    )
    app.use((error, _request, response, _next) => this.#failed(error, response))
    this.#http = createServer(app)
  }

  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#http.once('error', reject).listen(port, host, resolve)
    })
  }

  /** Answers what is under way, and takes nothing more. */
  close(): Promise<void> {
    return new Promise(resolve => {
      this.#http.close(() => resolve())
      this.#http.closeIdleConnections()
    })
  }

  #checkOrigin({ headers }: Request, response: Response, next: () => void): void {
    const { origin, host = '' } = headers
    const refused = origin === undefined ? null : this.#origins.refusal(origin, host)
    if (refused !== null) {
      this.#refuse(response, refused)
      return
    }
    for (const [name, value] of Object.entries(origin === undefined ? {} : readable(origin)))
      response.setHeader(name, value)
    next()
  }

  #increment(request: Request, response: Response): void {
    const { ingest, defaultAck } = this.#options
    const [, query = ''] = request.originalUrl.split('?', 2)
    const asked = query === '' ? null : new URLSearchParams(query).get('ack')
    const ack = asked === null ? defaultAck : acks.find(each => each === asked)
    if (ack === undefined) {
      this.#refuse(response, 'ack_unknown')
      return
    }
    const contentType = request.headers['content-type'] ?? ''
    const outcome = ingest.count(contentType, query, request.body ?? new Uint8Array())
    if (outcome.code !== null) this.#refuse(response, outcome.code, outcome.errors)
    else if (ack === 'memory' || outcome.accepted === 0) this.#answer(response, 200, outcome.accepted, ack)
    else this.#await(response, outcome.accepted, ack)
  }

  #await(response: Response, accepted: number, ack: 'queued' | 'committed'): void {
    const cancel = this.#options.flusher.await(ack, reached => {
      const isComplete = reached === ack || reached === 'committed'
      this.#answer(response, isComplete ? 200 : 202, accepted, reached)
    })
    response.once('close', cancel)
  }

  #answer(response: Response, status: number, accepted: number, ack: Ack): void {
    send(response, status, 'application/json', JSON.stringify({ accepted, ack }))
  }

  #refuse(response: Response, code: ProblemCode, errors?: readonly IncrementProblem[]): void {
    this.#options.ingest.refused(code)
    send(response, problems[code].status, 'application/problem+json', problemBody(code, errors))
  }

  #failed(error: unknown, response: Response): void {
    const isTooLarge = (error as { status?: number }).status === 413
    if (!isTooLarge) this.#options.ingest.fault(error)
    this.#refuse(response, isTooLarge ? 'body_too_large' : 'fault')
  }
}

function send(response: Response, status: number, type: string, body: string): void {
  response.status(status).type(type).send(body)
}
