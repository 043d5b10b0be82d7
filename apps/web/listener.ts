import type { TemplatedApp, us_listen_socket, us_listen_socket_close } from 'uWebSockets.js'
import { assert } from '../../lib/assert.ts'
import type { Clock, Timer } from '../../lib/clock.ts'
import { descriptorsFull, nextDescriptor } from '../../lib/process/descriptors.ts'
import type { RepeatedError } from '../../lib/process/log.ts'
import { boundReceiveBuffers } from '../../lib/process/receive-buffer.ts'
import type { Connections } from './connections.ts'
import { keptDescriptors } from './descriptor-check.ts'

/** New connections between two looks at the descriptors: opening one more file for each would cost much. */
const connectionsALook = 8
assert(connectionsALook < keptDescriptors, 'descriptors could run out between two looks')
const lookIntervalMs = 250
/** A pause ends when this share of the connections is gone: the next pause resets those not yet taken. */
const goneShare = 1 / 16
/** Time after which a pause ends as well, if any descriptor is free. */
const pauseMs = 5_000
/** Time without a pause after which it is over. */
const calmMs = 2_000

/**
 * The bytes that one connection can bring in one turn of the event loop. uWebSockets.js goes on reading from
 * a connection, in the same turn, while each read fills its own buffer of 512 KiB: a client that sends faster
 * than it can be served would keep every timer and all other clients waiting. This buffer never fills it.
 */
const receiveBufferBytes = 32 * 1024

export interface ListenerOptions {
  readonly app: Pick<TemplatedApp, 'listen'>
  readonly close: typeof us_listen_socket_close
  readonly connections: Connections
  readonly descriptorsMax: number
  readonly clock: Clock
  readonly error: RepeatedError
}

/**
 * Takes new connections. Its socket is closed while descriptors are short, as uWebSockets.js would try
 * without a pause to accept connections that it has no descriptor for. Other processes on the same port get
 * those that come meanwhile. Open connections are served all the time.
 *
 *     listening ──(descriptors are short)──▶ paused ──(connections are gone, or time is)──▶ listening
 */
export class Listener {
  readonly #options: ListenerOptions
  #address: { readonly host: string; readonly port: number } | null = null
  /** Null while paused, before the start and after the stop. */
  #socket: us_listen_socket | null = null
  #untilLook = connectionsALook
  /** When it last began or ended to listen. */
  #changedMs = 0
  #countAtPause = 0
  #timer: Timer | null = null

  constructor(options: ListenerOptions) {
    this.#options = options
  }

  get isListening(): boolean {
    return this.#socket !== null
  }

  /** Only once it was told to listen. */
  get port(): number {
    return this.#address!.port
  }

  /** Returns false when the operating system refuses it. Other processes may share the port. */
  listen(host: string, port: number): boolean {
    this.#address = { host, port }
    if (!this.#open()) return false
    this.#lookLater()
    return true
  }

  /** Must be called for each new connection: closing the socket here ends uWebSockets.js' loop of accepts. */
  accepted(): void {
    if (--this.#untilLook > 0) return
    this.#untilLook = connectionsALook
    if (this.#areShort()) this.#pause()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#close()
  }

  #lookLater(): void {
    this.#timer = this.#options.clock.after(lookIntervalMs, () => {
      this.#look()
      this.#lookLater()
    })
  }

  #look(): void {
    const sinceMs = this.#options.clock.monotonicMs() - this.#changedMs
    if (!this.isListening) {
      if (!this.#areShort() && (this.#areGone() || sinceMs >= pauseMs)) this.#resume()
    } else if (this.#areShort()) this.#pause()
    else if (sinceMs >= calmMs) this.#options.error.over()
  }

  #areShort(): boolean {
    const next = nextDescriptor()
    return next === null || next >= this.#options.descriptorsMax - keptDescriptors
  }

  #areGone(): boolean {
    return this.#options.connections.count < this.#countAtPause * (1 - goneShare)
  }

  #pause(): void {
    const { connections, descriptorsMax, error } = this.#options
    if (!this.isListening) return
    this.#close()
    this.#countAtPause = connections.count
    error.happened(
      descriptorsFull(`${connections.count} connections are open, ${descriptorsMax} descriptors are allowed`),
    )
  }

  #resume(): void {
    if (!this.#open()) this.#options.error.happened(descriptorsFull('the port cannot be listened on again'))
  }

  #open(): boolean {
    const { host, port } = this.#address!
    const { app, clock } = this.#options
    app.listen(host, port, socket => {
      this.#socket = socket || null
    })
    this.#changedMs = clock.monotonicMs()
    if (this.#socket === null) return false
    boundReceiveBuffers(receiveBufferBytes)
    return true
  }

  #close(): void {
    if (this.#socket !== null) this.#options.close(this.#socket)
    this.#socket = null
    this.#changedMs = this.#options.clock.monotonicMs()
  }
}
