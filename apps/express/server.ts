import { createServer } from 'node:http'
import express, { type Request, type Response } from 'express'
import { metricsContentType } from '../../lib/process/metrics.ts'
import { readinessBody, type StatusSource } from '../../lib/process/status-server.ts'
import { problemHeaders, type Reached, reachedBody, windowHeader } from '../../intake/http/replies.ts'
import { decodeBody } from '../../intake/http/content-encoding.ts'
import { RequestCounter, type RequestCounterOptions } from '../../intake/http/request-counter.ts'
import {
  isFramingRefused,
  type Head,
  readHead,
  type RequestHead,
  requestOrigin,
} from '../../intake/http/request-head.ts'
import { refusal, type Refusal } from '../../intake/parse/problems.ts'
import {
  isPreflight,
  Origins,
  type OriginsOptions,
  preflightBody,
  preflightHeaders,
  readable,
} from '../../intake/http/origins.ts'
import { type ProblemCode, problemBody, problems } from '../../intake/parse/problems.ts'

export interface ServerOptions extends StatusSource, OriginsOptions, RequestCounterOptions {
  readonly bodyBytesMax: number
}

/** `POST /increment` as the usual door has it, and the pages of an operator. */
export class Server {
  readonly #options: ServerOptions
  readonly #http
  readonly #origins: Origins
  readonly #counter: RequestCounter<Response>

  constructor(options: ServerOptions) {
    this.#options = options
    this.#origins = new Origins(options)
    this.#counter = new RequestCounter(options, {
      accepted: (response, accepted) =>
        this.#answer(response, { accepted, reached: 'memory', isComplete: true }),
      reached: (response, reached) => this.#answer(response, reached),
      refused: (response, refused, window) => this.#refuse(response, refused, window),
      onGone: (response, gone) => response.once('close', () => response.writableEnded || gone()),
    })
    const app = express()
    app.disable('x-powered-by')
    app.disable('etag')
    const read = express.raw({ type: () => true, limit: options.bodyBytesMax })
    app.options('/increment', (request, response) => this.#preflight(request, response))
    app.post('/increment', (request, response, next) => {
      const head = this.#admit(request, response)
      if (head === null) return
      // Without the header `read` decodes nothing; the coding is in `head`.
      delete request.headers['content-encoding']
      read(request, response, error => (error ? next(error) : this.#count(response, head, request.body)))
    })
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

  /** Reads the head of a request; null when it was refused by its head, and answered. */
  #admit(request: Request, response: Response): Head | null {
    const read = readHead(headOf(request), this.#options.bodyBytesMax)
    const head = isFramingRefused(read) ? read : (this.#refusedPage(request, response) ?? read)
    if (typeof head !== 'string') return head
    if (isFramingRefused(head)) response.setHeader('Connection', 'close')
    this.#refuse(response, refusal(head))
    return null
  }

  /** Returns why the page that sent the head read last is refused. Another page can read the answer. */
  #refusedPage({ headers }: Request, response: Response): ProblemCode | null {
    const origin = requestOrigin()
    const refused = origin === null ? null : this.#origins.refusal(origin, headers.host ?? '')
    if (origin !== null && refused === null) setHeaders(response, readable(origin))
    return refused
  }

  #preflight(request: Request, response: Response): void {
    const head = headOf(request)
    readHead(head, Number.POSITIVE_INFINITY)
    const refused = isPreflight(head) ? this.#refusedPage(request, response) : 'method_not_allowed'
    if (refused === null) {
      setHeaders(response, preflightHeaders)
      response.status(200).send(preflightBody)
    } else {
      response.setHeader('Allow', 'POST')
      this.#refuse(response, refusal(refused))
    }
  }

  #count(response: Response, head: Head, body: Uint8Array = new Uint8Array()): void {
    this.#counter.count(response, head, decodeBody(head.contentEncoding, body, this.#options.bodyBytesMax))
  }

  #answer(response: Response, reached: Omit<Reached, 'isLast'>): void {
    setHeaders(response, windowHeader(reached.idempotencyWindow))
    send(response, reached.isComplete ? 200 : 202, 'application/json', reachedBody(reached))
  }

  #refuse(response: Response, { code, errors }: Refusal, idempotencyWindow: string | null = null): void {
    this.#options.intake.refused(code)
    setHeaders(response, { ...problemHeaders(code), ...windowHeader(idempotencyWindow) })
    send(response, problems[code].status, 'application/problem+json', problemBody(code, errors))
  }

  #failed(error: unknown, response: Response): void {
    // The client went away before its body was there: nothing was counted, and there is nobody to tell.
    if (response.destroyed) return
    const isTooLarge = (error as { status?: number }).status === 413
    if (!isTooLarge) this.#options.intake.internalError(error)
    this.#refuse(response, refusal(isTooLarge ? 'body_too_large' : 'fault'))
  }
}

function headOf({ rawHeaders, originalUrl, headers }: Request): RequestHead {
  const mark = originalUrl.indexOf('?')
  return {
    forEach(visit) {
      for (let index = 0; index < rawHeaders.length; index += 2)
        visit(rawHeaders[index]!.toLowerCase(), rawHeaders[index + 1]!)
    },
    getQuery: () => (mark === -1 ? undefined : originalUrl.slice(mark + 1)),
    getHeader: name => String(headers[name] ?? ''),
  }
}

function setHeaders(response: Response, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
}

function send(response: Response, status: number, type: string, body: string): void {
  response.status(status).type(type).send(body)
}
