import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import { answerAccepted, answerLater, answerProblem, answerReached, type Refusal } from './answer.ts'
import { Body } from './body.ts'
import type { Flusher } from './flusher.ts'
import { type Head, readHead } from './head.ts'
import type { Ingest } from './ingest.ts'
import type { ProblemCode } from './problems.ts'
import type { Ack, Waiting } from './waiting.ts'

export interface IncrementRouteOptions {
  readonly ingest: Ingest
  readonly flusher: Flusher
  readonly waiting: Waiting
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
      const head = readHead(request, this.#options.bodyBytesMax)
      if (typeof head === 'string') {
        this.#refuseAndClose(response, head)
      } else {
        /** Null while there was nothing that is not the last. */
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
        const copy = Buffer.from(bytes)
        this.#later(response, () => this.#count(response, head, copy))
      } else {
        this.#count(response, head, bytes)
      }
    } catch (error) {
      this.#fault(response, error)
    }
  }

  #count(response: HttpResponse, { contentType, query, ack }: Head, body: Uint8Array): void {
    const { ingest, waiting, waitingMax, defaultAck } = this.#options
    const asked = ack ?? defaultAck
    if (asked !== 'memory' && waiting.count >= waitingMax) {
      this.#underWayCount--
      this.refuse(response, 'waiting_full', { isLast: this.#isDraining })
      return
    }
    const outcome = ingest.count(contentType, query, body)
    if (outcome.code === null && asked !== 'memory') {
      this.#await(response, asked, outcome.accepted)
      return
    }
    this.#underWayCount--
    if (outcome.code === null) answerAccepted(response, outcome.accepted, this.#isDraining)
    else this.refuse(response, outcome.code, { errors: outcome.errors, isLast: this.#isDraining })
  }

  /** Answers once what was counted has come as far as the client asked. */
  #await(response: HttpResponse, asked: Ack, accepted: number): void {
    const cancel = this.#options.flusher.await(asked, reached => {
      this.#underWayCount--
      response.cork(() => answerReached(response, accepted, { asked, reached, isLast: this.#isDraining }))
    })
    // The increments count all the same: only nobody hears of it.
    response.onAborted(() => {
      cancel()
      this.#underWayCount--
    })
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
