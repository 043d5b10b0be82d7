import { createServer, type Server, type ServerResponse } from 'node:http'
import { metricsContentType } from './metrics.ts'

/** The contents of `/readyz`: every reason why the process cannot keep its promises now. */
export interface Readiness {
  readonly reasons: readonly string[]
  /** Conditions that somebody has to look at, though the promises are kept. */
  readonly notes?: readonly string[]
}

/** The same of one process among several. */
export interface ProcessReadiness extends Readiness {
  readonly process: string
}

export interface StatusSource {
  readiness(): Readiness
  metricsText(): Promise<string>
}

/** Body of `/readyz`, the same from every process. */
export function readinessBody({ reasons, notes = [] }: Readiness): string {
  return JSON.stringify({ ready: reasons.length === 0, reasons, ...(notes.length > 0 && { notes }) })
}

/** Connections for those who look at a process: the rest of its descriptors is for its work. */
const connectionsMax = 16

/** `/healthz`, `/readyz` and `/metrics` of a process that has no other HTTP port. */
export class StatusServer {
  readonly #server: Server
  readonly #source: StatusSource

  /** `onError` hears of connections that could not be taken. */
  constructor(source: StatusSource, onError: (error: unknown) => void) {
    this.#source = source
    this.#server = createServer((request, response) => {
      this.#answer(request.url ?? '/', response).catch(error => response.destroy(error))
    })
    this.#server.maxConnections = connectionsMax
    this.#server.on('error', onError)
  }

  /** Rejects with the error of the operating system: the port is taken, or the host is not ours. */
  listen(port: number, host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  close(): Promise<void> {
    this.#server.closeAllConnections()
    return new Promise(resolve => this.#server.close(() => resolve()))
  }

  async #answer(url: string, response: ServerResponse): Promise<void> {
    const path = url.split('?', 1)[0]
    if (path === '/healthz') return send(response, 200, 'application/json', '{"alive":true}')
    if (path === '/readyz') {
      const readiness = this.#source.readiness()
      return send(
        response,
        readiness.reasons.length === 0 ? 200 : 503,
        'application/json',
        readinessBody(readiness),
      )
    }
    if (path === '/metrics') return send(response, 200, metricsContentType, await this.#source.metricsText())
    send(response, 404, 'text/plain', 'This port answers /healthz, /readyz and /metrics.\n')
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type }).end(body)
}
