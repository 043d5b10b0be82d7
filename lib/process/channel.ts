import { assert } from '../assert.ts'
import { errorText } from '../errors.ts'

/** The part of a child process, or of `process` inside one, that carries messages. */
export interface Port {
  send?(message: unknown, done?: (error: Error | null) => void): boolean
  on(event: 'message', listener: (message: unknown) => void): unknown
  on(event: 'disconnect', listener: () => void): unknown
}

type Handler = (...args: never[]) => unknown
type Message =
  | { kind: 'request'; id: number; method: string; args: unknown[] }
  | { kind: 'answer'; id: number; value: unknown }
  | { kind: 'failure'; id: number; message: string }
  | { kind: 'event'; name: string; args: unknown[] }

/** The other side is gone: a request may or may not have been carried out. */
export class ChannelClosed extends Error {
  override name = 'ChannelClosed'
}

/**
 * Requests and events between a parent and a child process, over Node's own IPC.
 * A request settles when the other side answers, or rejects with ChannelClosed when it is gone.
 */
export class Channel {
  readonly #port: Port
  readonly #handlers = new Map<string, Handler>()
  readonly #listeners = new Map<string, Set<Handler>>()
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  readonly #closeListeners: (() => void)[] = []
  #lastId = 0
  #closed = false

  constructor(port: Port) {
    this.#port = port
    port.on('message', message => this.#receive(message as Message))
    port.on('disconnect', () => this.#close())
  }

  get closed(): boolean {
    return this.#closed
  }

  onClose(listener: () => void): void {
    this.#closeListeners.push(listener)
  }

  /** Answers requests of this name; one handler a name. A throw travels back as the request's rejection. */
  handle(method: string, handler: Handler): void {
    assert(!this.#handlers.has(method), `two handlers for ${method}`)
    this.#handlers.set(method, handler)
  }

  /** Returns how to stop listening. */
  on(event: string, listener: Handler): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners.add(listener))
    return () => listeners.delete(listener)
  }

  request<T>(method: string, ...args: unknown[]): Promise<T> {
    const id = ++this.#lastId
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: value => resolve(value as T), reject })
      this.#send({ kind: 'request', id, method, args })
    })
  }

  /** Says something that needs no answer; lost in silence when the other side is gone. */
  emit(name: string, ...args: unknown[]): void {
    this.#send({ kind: 'event', name, args })
  }

  #send(message: Message): void {
    if (this.#closed || this.#port.send === undefined) {
      this.#close()
      return
    }
    // The callback keeps a broken pipe from becoming an unhandled 'error' event.
    this.#port.send(message, error => error && this.#close())
  }

  #receive(message: Message): void {
    if (message.kind === 'request') void this.#answer(message.id, message.method, message.args)
    if (message.kind === 'event') {
      for (const listener of this.#listeners.get(message.name) ?? []) listener(...(message.args as never[]))
    }
    if (message.kind === 'answer' || message.kind === 'failure') {
      const waiting = this.#waiting.get(message.id)
      this.#waiting.delete(message.id)
      if (message.kind === 'answer') waiting?.resolve(message.value)
      else waiting?.reject(new Error(message.message))
    }
  }

  async #answer(id: number, method: string, args: unknown[]): Promise<void> {
    try {
      const handler = this.#handlers.get(method)
      assert(handler, `no handler for ${method}`)
      this.#send({ kind: 'answer', id, value: await handler(...(args as never[])) })
    } catch (error) {
      this.#send({ kind: 'failure', id, message: errorText(error) })
    }
  }

  #close(): void {
    this.#closed = true
    for (const { reject } of this.#waiting.values()) reject(new ChannelClosed('the other process is gone'))
    this.#waiting.clear()
    for (const listener of this.#closeListeners.splice(0)) listener()
  }
}
