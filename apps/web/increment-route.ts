import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import { batchKeysMax } from '../../queue/limits.ts'
import { outcomes } from '../../queue/queue.ts'
import type { Keyed } from './accumulator.ts'
import {
  answerAccepted,
  answerLater,
  answerProblem,
  answerReached,
  type Reached,
  type Refusal,
} from './answer.ts'
import { Body } from './body.ts'
import type { Connections } from './connections.ts'
import { decodeBody } from './content-encoding.ts'
import type { Flusher } from './flusher.ts'
import { type Head, readHead } from './head.ts'
import { keyedRequest } from './idempotency.ts'
import { IncrementList } from './increment-list.ts'
import { type Ingest, readIncrements, refusal } from './ingest.ts'
import type { Refusal as IncrementsRefused } from './json.ts'
import type { ProblemCode } from './problems.ts'
import type { Ack, Waiting } from './waiting.ts'

export interface IncrementRouteOptions {
  readonly ingest: Ingest
  readonly flusher: Flusher
  readonly waiting: Waiting
  readonly connections: Connections
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
  /** Requests that are not answered yet. */
  #underWayCount = 0
  #isDraining = false
  /** Idempotency keys of requests that wait here, with their fingerprints. */
  readonly #inFlight = new Map<string, string>()
  /**
   * The client went away before the last byte of its body: nothing was counted, and there is nobody to
   * tell.
   */
  readonly #onAborted = () => {
    this.#underWayCount--
  }

  constructor(options: IncrementRouteOptions) {
    this.#options = options
  }

  get underWayCount(): number {
    return this.#underWayCount
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** From now on each answer closes its connection. */
  startDraining(): void {
    this.#isDraining = true
  }

  readonly handle = (response: HttpResponse, request: HttpRequest): void => {
    this.#underWayCount++
    response.onAborted(this.#onAborted)
    try {
      const { bodyBytesMax, connections } = this.#options
      const head = connections.isOverfull ? 'connections_full' : readHead(request, bodyBytesMax)
      if (typeof head === 'string') {
        this.#refuseAndClose(response, head)
      } else {
        let body: Body | null = null
        response.onData((chunk, isLast) => {
          if (isLast && body === null && !head.isChunked && !this.#isDraining) {
            this.#receiveWhole(response, head, chunk)
          } else {
            body ??= new Body(this.#options.bodyBytesMax)
            this.#receive(response, head, body, chunk, isLast)
          }
        })
      }
    } catch (error) {
      this.#fault(response, error)
    }
  }

  /** The usual case: the whole body in one piece, within the bound that its length was checked against. */
  #receiveWhole(response: HttpResponse, head: Head, chunk: ArrayBuffer): void {
    try {
      this.#count(response, head, new Uint8Array(chunk))
    } catch (error) {
      this.#fault(response, error)
    }
  }

  #receive(response: HttpResponse, head: Head, body: Body, chunk: ArrayBuffer, isLast: boolean): void {
    try {
      const bytes = body.add(chunk, isLast)
      if (bytes === null) return
      if (bytes === 'too large') {
        this.#refuseAndClose(response, 'body_too_large')
      } else if (head.isChunked || this.#isDraining) {
        const copy = new Uint8Array(bytes)
        this.#later(response, () => this.#count(response, head, copy))
      } else {
        this.#count(response, head, bytes)
      }
    } catch (error) {
      this.#fault(response, error)
    }
  }

  #count(response: HttpResponse, head: Head, received: Uint8Array): void {
    const { ingest, waiting, waitingMax, defaultAck, bodyBytesMax } = this.#options
    const body = decodeBody(head.contentEncoding, received, bodyBytesMax)
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
    if (outcome.code !== null) this.#answerProblem(response, outcome)
    else if (outcome.accepted === 0)
      this.#answerReached(response, { accepted: 0, reached: asked, isComplete: true })
    else if (asked !== 'memory') this.#await(response, asked, outcome.accepted)
    else {
      this.#underWayCount--
      answerAccepted(response, outcome.accepted, this.#isDraining)
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
      this.#underWayCount--
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
    const inFlight = this.#inFlight.get(key)
    if (inFlight !== undefined)
      return refusal(
        inFlight === request.fingerprint ? 'idempotency_key_in_flight' : 'idempotency_key_reused',
      )
    const keyed: Keyed = { request, sequenceLast: null, position: 0 }
    const outcome = this.#options.ingest.countKeyed(keyed)
    if (outcome.code !== null) return outcome
    this.#inFlight.set(key, request.fingerprint)
    this.#awaitKeyed(response, keyed, outcome.accepted)
    return null
  }

  #awaitKeyed(response: HttpResponse, keyed: Keyed, accepted: number): void {
    const { idempotencyKey } = keyed.request
    const cancel = this.#options.flusher.await(keyed, (reached, position) => {
      this.#inFlight.delete(idempotencyKey)
      const letter = position.outcomes.get(keyed.sequenceLast ?? 0)?.[keyed.position]
      if (letter === outcomes.conflict) {
        response.cork(() => this.#answerProblem(response, refusal('idempotency_key_reused')))
        return
      }
      // Neither when the time is over, or the queue lost its memory: to ask again is safe, and tells.
      const result =
        letter === outcomes.applied ? 'applied' : letter === outcomes.duplicate ? 'duplicate' : undefined
      this.#answerReached(response, { accepted, reached, isComplete: result !== undefined, result })
    })
    response.onAborted(() => {
      cancel()
      // Its client may well ask again on another connection: the store knows both by their key.
      this.#inFlight.delete(idempotencyKey)
      this.#underWayCount--
    })
  }

  #answerReached(response: HttpResponse, reached: Omit<Reached, 'isLast'>): void {
    this.#underWayCount--
    response.cork(() => answerReached(response, { ...reached, isLast: this.#isDraining }))
  }

  #answerProblem(response: HttpResponse, { code, errors }: IncrementsRefused): void {
    this.#underWayCount--
    this.refuse(response, code, { errors, isLast: this.#isDraining })
  }

  refuse(response: HttpResponse, code: ProblemCode, refusal: Refusal): void {
    this.#options.ingest.refused(code)
    answerProblem(response, code, refusal)
  }

  /** For a request that another route met: what follows on its connection is not to be trusted. */
  refuseUnderWay(response: HttpResponse, code: ProblemCode): void {
    this.#underWayCount++
    this.#refuseAndClose(response, code)
  }

  /** What follows on the connection is not to be trusted, or not worth reading. */
  #refuseAndClose(response: HttpResponse, code: ProblemCode): void {
    this.#later(response, () => {
      this.#underWayCount--
      this.refuse(response, code, { isLast: true })
    })
  }

  /** Nothing may be thrown into uWebSockets.js: it would end the process, or never answer the request. */
  #fault(response: HttpResponse, error: unknown): void {
    this.#options.ingest.fault(error)
    this.#refuseAndClose(response, 'fault')
  }

  #later(response: HttpResponse, work: () => void): void {
    answerLater(response, this.#onAborted, () => {
      try {
        work()
      } catch (error) {
        this.#fault(response, error)
      }
    })
  }
}
