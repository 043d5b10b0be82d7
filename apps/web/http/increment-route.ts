import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import { answerAccepted, answerReached } from './responses.ts'
import type { Connections } from '../connections.ts'
import { decodeBody } from '../../../intake/http/content-encoding.ts'
import {
  RequestCounter,
  type RequestCounterOptions,
  type Replies,
} from '../../../intake/http/request-counter.ts'
import { isFramingRefused, bodyLength, type Head, readHead } from '../../../intake/http/request-head.ts'
import type { LongWork } from '../long-work.ts'
import type { Origins } from '../../../intake/http/origins.ts'
import { refusedPage } from './pages.ts'
import type { Receiving, Requests } from './requests.ts'
import type { EventLoopTurn } from '../event-loop-turn.ts'

/** A body from here on is long work. */
const longBytes = 64 * 1024
/** Compressed and not, a body up to here is none: requests with such bodies can be pipelined. */
const shortBytes = 16 * 1024
/** Unless their turn has become as long as this. */
const shortTurnMs = 250

export interface IncrementRouteOptions extends RequestCounterOptions {
  readonly requests: Requests
  readonly connections: Connections
  readonly origins: Origins
  readonly turn: EventLoopTurn
  readonly longWork: LongWork
  readonly bodyBytesMax: number
}

/**
 * `POST /increment`, from the head of a request to its answer. Every request is answered, whatever it is, and
 * nothing is ever thrown into uWebSockets.js.
 */
export class IncrementRoute {
  readonly #options: IncrementRouteOptions
  readonly #counter: RequestCounter<HttpResponse>

  constructor(options: IncrementRouteOptions) {
    this.#options = options
    this.#counter = new RequestCounter(options, repliesOf(options))
  }

  handle(response: HttpResponse, request: HttpRequest): void {
    const { requests, bodyBytesMax, connections, origins, turn } = this.#options
    turn.requestCame()
    requests.underWayCount++
    response.onAborted(requests.onAborted)
    try {
      const read = readHead(request, bodyBytesMax)
      const refused = refusedPage(origins, request, response)
      const isFull = connections.isOverfull ? 'connections_full' : null
      // Whatever else is wrong: behind what is not certain, nothing may be read.
      const head = isFramingRefused(read) ? read : (refused ?? isFull ?? read)
      if (typeof head === 'string') {
        requests.refuseUnread(response, head)
        return
      }
      const length = bodyLength()
      let receiving: Receiving | null = null
      response.onData((chunk, isLast) => {
        if (isLast && receiving === null && !head.isChunked && !requests.isDraining) {
          this.#receiveWhole(response, head, chunk)
        } else {
          receiving ??= requests.receiving(response, length, body => {
            this.#receive(response, head, body, true)
          })
          requests.receive(receiving, chunk, isLast)
        }
      })
    } catch (error) {
      requests.internalError(response, error)
    }
  }

  /** The usual case: the whole body in one piece, within the bound that its length was checked against. */
  #receiveWhole(response: HttpResponse, head: Head, chunk: ArrayBuffer): void {
    try {
      this.#receive(response, head, new Uint8Array(chunk), false)
    } catch (error) {
      this.#options.requests.internalError(response, error)
    }
  }

  /** `received` has to be valid only during the call. */
  #receive(response: HttpResponse, head: Head, received: Uint8Array, isCollected: boolean): void {
    const { requests, longWork, bodyBytesMax } = this.#options
    const coding = head.contentEncoding
    if (coding === '') {
      if (received.length < longBytes) this.#counter.count(response, head, received)
      else
        requests.workLong(response, received, isCollected, body => this.#counter.count(response, head, body))
      return
    }
    const isShort = received.length <= shortBytes && longWork.turnMs() < shortTurnMs
    const bytesMax = Math.min(shortBytes, bodyBytesMax)
    const body = isShort ? decodeBody(coding, received, bytesMax) : 'body_too_large'
    if (body !== 'body_too_large') this.#counter.count(response, head, body)
    else
      requests.workLong(response, received, isCollected, body =>
        this.#counter.count(response, head, decodeBody(coding, body, bodyBytesMax)),
      )
  }
}

function repliesOf({ requests, turn }: IncrementRouteOptions): Replies<HttpResponse> {
  return {
    accepted(response, accepted) {
      requests.underWayCount--
      const { isDraining } = requests
      if (turn.isDeep) response.cork(() => answerAccepted(response, accepted, isDraining))
      else answerAccepted(response, accepted, isDraining)
    },
    reached(response, reached) {
      requests.underWayCount--
      response.cork(() => answerReached(response, { ...reached, isLast: requests.isDraining }))
    },
    refused(response, { code, errors }, idempotencyWindow) {
      requests.underWayCount--
      requests.refuse(response, code, { errors, isLast: requests.isDraining, idempotencyWindow })
    },
    onGone(response, gone) {
      response.onAborted(() => {
        gone()
        requests.underWayCount--
      })
    },
  }
}
