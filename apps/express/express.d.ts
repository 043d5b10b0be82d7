/**
 * The part of Express that we use. Its own types would be one more package, and this folder's packages are
 * only installed where the app runs.
 */
declare module 'express' {
  import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

  export interface Request extends IncomingMessage {
    readonly body: Uint8Array | undefined
    readonly originalUrl: string
  }
  export interface Response extends ServerResponse {
    status(code: number): this
    type(type: string): this
    send(body: string): this
  }
  type Handler = (request: Request, response: Response, next: (error?: unknown) => void) => unknown
  type ErrorHandler = (error: unknown, request: Request, response: Response, next: () => void) => unknown
  interface Application extends RequestListener {
    post(path: string, ...handlers: Handler[]): void
    options(path: string, ...handlers: Handler[]): void
    get(path: string, ...handlers: Handler[]): void
    use(handler: ErrorHandler): void
    disable(setting: string): void
  }
  function express(): Application
  namespace express {
    /** The whole body as bytes, of any type. */
    function raw(options: { type: () => boolean; limit: number }): Handler
  }
  export default express
}
