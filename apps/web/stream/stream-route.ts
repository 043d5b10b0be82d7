import { isFramingRefused } from '../../../intake/http/request-head.ts'
import type {
  HttpRequest,
  HttpResponse,
  us_socket_context_t,
  WebSocket,
  WebSocketBehavior,
} from 'uWebSockets.js'
import type { Metrics } from '../../../lib/process/metrics.ts'
import type { Connections } from '../connections.ts'
import { closeCodes, Stream, type StreamSurroundings } from './stream.ts'
import type { NativeMemory } from '../native-memory.ts'
import type { Origins } from '../../../intake/http/origins.ts'
import { refusedPage } from '../http/pages.ts'
import type { Requests } from '../http/requests.ts'
import { readUpgrade, type StreamMode } from './handshake.ts'
import type { Ack } from '../../../intake/send/ack-waiters.ts'

/** A client that says nothing for so long, not even to a ping, is gone. */
export const idleSecondsMax = 32

/**
 * A message up to so many times the largest body is refused like any other; from there on uWebSockets.js cuts
 * the connection, without a word.
 */
const cutBodies = 2

export interface StreamRouteOptions extends StreamSurroundings {
  /** Answers what opens no stream. */
  readonly requests: Requests
  readonly connections: Connections
  readonly origins: Origins
  readonly defaultAck: Ack
  readonly memory: NativeMemory
  readonly metrics: Metrics
}

/** Streams that are closed at a time where memory is short: this share of them, and so many at the least. */
const shedShare = 1 / 8
const shedMin = 16

/** The properties that uWebSockets.js keeps for us with each WebSocket. */
interface Attached {
  readonly mode: StreamMode
  /** Null until it is open. */
  stream: Stream | null
}
type StreamSocket = WebSocket<Attached> & Attached

/** `/stream`, from the upgrade to the close. Nothing is ever thrown into uWebSockets.js. */
export class StreamRoute {
  readonly #options: StreamRouteOptions
  readonly #surroundings: StreamSurroundings
  readonly #streams = new Set<Stream>()
  #messageCount = 0
  #isDraining = false

  constructor(options: StreamRouteOptions) {
    this.#options = options
    this.#surroundings = options
    const { metrics, unread } = options
    metrics.gaugeOf('piccolo_stream_connections', 'Open streams', () => this.#openCount())
    metrics.counterOf('piccolo_stream_messages_total', 'Messages received', () => this.#messageCount)
    metrics.gaugeOf('piccolo_stream_unread_bytes', 'Answers that clients do not read', () => unread.bytes)
  }

  /** Streams with messages that are not answered yet. */
  get underWayCount(): number {
    let count = 0
    for (const stream of this.#streams) if (stream.isUnderWay) count++
    return count
  }

  readonly #behavior: WebSocketBehavior<Attached> = {
    idleTimeout: idleSecondsMax,
    sendPingsAutomatically: true,
    // No limit here, as no answer may be dropped: each stream bounds them itself, before it counts.
    maxBackpressure: 0,
    upgrade: (response, request, context) => this.#upgrade(response, request, context),
    open: socket => this.#open(socket as StreamSocket),
    message: (socket, message) => this.#receive(socket as StreamSocket, message),
    ping: socket => (socket as StreamSocket).stream?.controlled(),
    pong: socket => (socket as StreamSocket).stream?.controlled(),
    drain: socket => (socket as StreamSocket).stream?.drained(),
    close: socket => this.#closed(socket as StreamSocket),
  }

  get behavior(): WebSocketBehavior<Attached> {
    return { ...this.#behavior, maxPayloadLength: cutBodies * this.#options.bodyBytesMax }
  }

  /**
   * Closes some streams, to get back the memory of messages that have not come to their end; returns false
   * when there is none. Whose these are cannot be seen: those first that are being closed anyway or have
   * never brought a whole message, the newest first.
   */
  readonly shed = (): boolean => {
    const newestFirst = [...this.#streams].reverse()
    const count = Math.max(shedMin, Math.ceil(newestFirst.length * shedShare))
    const first = newestFirst.filter(stream => stream.isLeaving || !stream.hasBroughtMessages)
    const lot = (first.length > 0 ? first : newestFirst).slice(0, count)
    for (const stream of lot) stream.cut()
    return lot.length > 0
  }

  #openCount(): number {
    let count = 0
    for (const stream of this.#streams) if (!stream.isLeaving) count++
    return count
  }

  /** Streams count nothing any more, and close once every message has its answer. */
  startDraining(): void {
    this.#isDraining = true
    for (const stream of this.#streams) stream.startDraining()
  }

  /** Answers all messages that still wait, and closes the streams. */
  giveUp(): void {
    for (const stream of this.#streams) stream.giveUp()
  }

  #upgrade(response: HttpResponse, request: HttpRequest, context: us_socket_context_t): void {
    const { requests, connections, memory, origins } = this.#options
    const read = readUpgrade(request, this.#options.defaultAck)
    const refused = refusedPage(origins, request, response)
    const isFull = connections.isOverfull ? 'connections_full' : memory.hasRoom ? null : 'unfinished_full'
    const upgrade = isFramingRefused(read) ? read : (refused ?? isFull ?? read)
    if (typeof upgrade === 'string') {
      requests.refuseUnderWay(response, upgrade)
      return
    }
    const attached: Attached = { mode: upgrade.mode, stream: null }
    response.upgrade(attached, upgrade.key, '', '', context)
  }

  #open(socket: StreamSocket): void {
    socket.stream = new Stream(socket, socket.mode, this.#surroundings)
    this.#streams.add(socket.stream)
    if (this.#isDraining) socket.stream.startDraining()
  }

  #receive(socket: StreamSocket, message: ArrayBuffer): void {
    try {
      this.#messageCount++
      socket.stream!.receive(message)
    } catch (error) {
      this.#options.intake.internalError(error)
      socket.stream!.close(closeCodes.internalError, 'an internal error')
    }
  }

  #closed({ stream }: StreamSocket): void {
    if (stream !== null) {
      stream.closed()
      this.#streams.delete(stream)
    }
    // While draining it stays counted: the client may not have read the last answers yet, and whether it has
    // cannot be seen.
    if (!this.#isDraining) this.#options.connections.count--
  }
}
