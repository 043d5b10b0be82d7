import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import { batchKeysMax } from '../../queue/limits.ts'
import type { Keyed } from './accumulator.ts'
import { answerAccepted, answerReached, type Reached } from './answer.ts'
import type { Connections } from './connections.ts'
import { decodeBody } from './content-encoding.ts'
import type { Flusher } from './flusher.ts'
import { bodyLength, type Head, readHead } from './head.ts'
import { keyedRequest } from './idempotency.ts'
import { IncrementList } from './increment-list.ts'
import { type Ingest, readIncrements, refusal } from './ingest.ts'
import type { Refusal as IncrementsRefused } from './json.ts'
import type { KeyedRequests } from './keyed-requests.ts'
import type { LongWork } from './long-work.ts'
import type { ProblemCode } from './problems.ts'
import type { Origins } from './origins.ts'
import { isFramingRefused, type Receiving, type Requests } from './requests.ts'
import type { Turn } from './turn.ts'
import type { Ack, Waiting } from './waiting.ts'

/** A body from here on is long work. */
const longBytes = 64 * 1024
/** Compressed and not, a body up to here is none: requests with such bodies can be pipelined. */
const shortBytes = 16 * 1024
/** Unless their turn has become as long as this. */
const shortTurnMs = 250

export interface IncrementRouteOptions {
  readonly requests: Requests
  readonly ingest: Ingest
  readonly flusher: Flusher
  readonly waiting: Waiting
  readonly keyedRequests: KeyedRequests
  readonly connections: Connections
  readonly origins: Origins
  readonly turn: Turn
  readonly longWork: LongWork
  readonly bodyBytesMax: number
  readonly defaultAck: Ack
  /** Requests that may wait for more than `memory` at a time. */
  readonly waitingMax: number
}

/**
 * `POST /increment`, from the head of a request to its answer. Every request is answered, whatever it is, and
 * nothing is ever thrown into uWebSockets.js.
 */
export class IncrementRoute {
  readonly #options: IncrementRouteOptions
  constructor(options: IncrementRouteOptions) {
    this.#options = options
  }

  handle(response: HttpResponse, request: HttpRequest): void {
    const { requests, bodyBytesMax, connections, origins, turn } = this.#options
    turn.requestCame()
    requests.underWayCount++
    response.onAborted(requests.onAborted)
    try {
      const read = readHead(request, bodyBytesMax)
      const refused = origins.refusalOf(request, response)
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
      requests.fault(response, error)
    }
  }

  /** The usual case: the whole body in one piece, within the bound that its length was checked against. */
  #receiveWhole(response: HttpResponse, head: Head, chunk: ArrayBuffer): void {
    try {
      this.#receive(response, head, new Uint8Array(chunk), false)
    } catch (error) {
      this.#options.requests.fault(response, error)
    }
  }

  /** `received` has to be valid only during the call. */
  #receive(response: HttpResponse, head: Head, received: Uint8Array, isCollected: boolean): void {
    const { requests, longWork, bodyBytesMax } = this.#options
    const coding = head.contentEncoding
    if (coding === '') {
      if (received.length < longBytes) this.#count(response, head, received)
      else requests.workLong(response, received, isCollected, body => this.#count(response, head, body))
      return
    }
    const isShort = received.length <= shortBytes && longWork.turnMs() < shortTurnMs
    const bytesMax = Math.min(shortBytes, bodyBytesMax)
    const body = isShort ? decodeBody(coding, received, bytesMax) : 'body_too_large'
    if (body !== 'body_too_large') this.#count(response, head, body)
    else
      requests.workLong(response, received, isCollected, body =>
        this.#count(response, head, decodeBody(coding, body, bodyBytesMax)),
      )
  }

  #count(response: HttpResponse, head: Head, body: Uint8Array | ProblemCode): void {
    const { requests, ingest, turn, waiting, waitingMax, defaultAck } = this.#options
    const asked = head.ack ?? defaultAck
    const mustWait = asked !== 'memory' || head.idempotencyKey !== null
    const isFull = mustWait && waiting.count >= waitingMax
    if (typeof body === 'string' || isFull) {
      this.#answerProblem(response, refusal(typeof body === 'string' ? body : 'waiting_full'))
      return
    }
    if (head.idempotencyKey !== null) {
      const refused = this.#countKeyed(response, head, body, head.idempotencyKey)
      if (refused !== null) this.#answerProblem(response, refused)
      return
    }
    const outcome = ingest.count(head.contentType, head.query, body)
    if (outcome.code !== null) {
      this.#answerProblem(response, outcome)
    } else if (outcome.accepted === 0) {
      this.#answerReached(response, { accepted: 0, reached: asked, isComplete: true })
    } else if (asked !== 'memory') {
      this.#await(response, asked, outcome.accepted)
    } else {
      requests.underWayCount--
      const { isDraining } = requests
      if (turn.isDeep) response.cork(() => answerAccepted(response, outcome.accepted, isDraining))
      else answerAccepted(response, outcome.accepted, isDraining)
    }
  }

  /** Answers once what was counted has come as far as the client asked. */
  #await(response: HttpResponse, asked: 'queued' | 'committed', accepted: number): void {
    const cancel = this.#options.flusher.await(asked, reached => {
      const isComplete = reached === asked || reached === 'committed'
      this.#answerReached(response, { accepted, reached, isComplete })
    })
    // The increments count all the same: only nobody hears of it.
    response.onAborted(() => {
      cancel()
      this.#options.requests.underWayCount--
    })
  }

  /**
   * Counts what has an idempotency key, and answers when the store has decided whether it is a repetition.
   * Null, or why nothing was counted.
   */
  #countKeyed(response: HttpResponse, head: Head, body: Uint8Array, key: string): IncrementsRefused | null {
    const list = new IncrementList()
    const refused = readIncrements(head.contentType, head.query, body, list)
    if (refused !== null) return refused
    const request = keyedRequest(key, list)
    if (request.keys.length > batchKeysMax) return refusal('idempotency_too_many_keys')
    const { ingest, keyedRequests } = this.#options
    const code = keyedRequests.refusalOf(request)
    if (code !== null) return refusal(code)
    const keyed: Keyed = { request, sequenceLast: null, position: 0 }
    const outcome = ingest.countKeyed(keyed)
    if (outcome.code !== null) return outcome
    keyedRequests.begin(request)
    this.#awaitKeyed(response, keyed, outcome.accepted)
    return null
  }

  #awaitKeyed(response: HttpResponse, keyed: Keyed, accepted: number): void {
    const { flusher, keyedRequests } = this.#options
    const cancel = flusher.await(keyed, (reached, position) => {
      keyedRequests.end(keyed.request)
      const letter = position.outcomes.get(keyed.sequenceLast ?? 0)?.[keyed.position]
      const decision = keyedRequests.decided(letter)
      if (decision.code !== null) {
        this.#answerProblem(response, refusal(decision.code))
        return
      }
      const { result } = decision
      this.#answerReached(response, { accepted, reached, isComplete: result !== undefined, result })
    })
    response.onAborted(() => {
      cancel()
      // Its client may well ask again on another connection.
      keyedRequests.end(keyed.request)
      this.#options.requests.underWayCount--
    })
  }

  #answerReached(response: HttpResponse, reached: Omit<Reached, 'isLast'>): void {
    this.#options.requests.underWayCount--
    response.cork(() => answerReached(response, { ...reached, isLast: this.#options.requests.isDraining }))
  }

  #answerProblem(response: HttpResponse, { code, errors }: IncrementsRefused): void {
    this.#options.requests.underWayCount--
    this.#options.requests.refuse(response, code, { errors, isLast: this.#options.requests.isDraining })
  }
}
