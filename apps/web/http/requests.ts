import type { HttpResponse } from 'uWebSockets.js'
import { answerLater, answerProblem, cut, type RefusalOptions } from './responses.ts'
import { Body, type BodyMemory } from './request-body.ts'
import { isFramingRefused, bodyLength } from '../../../intake/http/request-head.ts'
import type { Intake } from '../../../intake/count/intake.ts'
import type { LongWork } from '../long-work.ts'
import type { NativeMemory } from '../native-memory.ts'
import type { ProblemCode } from '../../../intake/parse/problems.ts'

/** A request whose body comes in pieces. */
export interface Receiving {
  readonly response: HttpResponse
  readonly isChunked: boolean
  readonly body: Body
  /** Handles the whole body, which is valid only during the call. */
  readonly work: (body: Uint8Array) => void
}

export interface RequestsOptions {
  readonly intake: Intake
  readonly longWork: LongWork
  readonly bodyBytesMax: number
  readonly bodyMemory: BodyMemory
  readonly memory: NativeMemory
}

/**
 * The part that all requests have in common, whatever their path: collecting a body, and refusing. Nothing is
 * ever thrown into uWebSockets.js.
 */
export class Requests {
  readonly #options: RequestsOptions
  /** Requests that are not answered yet. */
  underWayCount = 0
  #isDraining = false
  /** The client went away: nothing was counted, and there is nobody to tell. */
  readonly onAborted = () => {
    this.underWayCount--
  }

  constructor(options: RequestsOptions) {
    this.#options = options
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Makes each further answer close its connection. */
  startDraining(): void {
    this.#isDraining = true
  }

  /** Does `work`, which answers the request, when the body that nobody asked for is over. */
  skipBody(response: HttpResponse, work: () => void): void {
    this.underWayCount++
    response.onAborted(this.onAborted)
    const receiving = this.receiving(response, bodyLength(), () => {
      work()
      this.underWayCount--
    })
    response.onData((chunk, isLast) => this.receive(receiving, chunk, isLast))
  }

  /** `length` of the body is in bytes; infinite when it comes in chunks. */
  receiving(response: HttpResponse, length: number, work: (body: Uint8Array) => void): Receiving {
    const body = new Body(this.#options.bodyBytesMax, this.#options.bodyMemory, length)
    response.onAborted(() => {
      body.end()
      this.onAborted()
    })
    return { response, isChunked: length === Number.POSITIVE_INFINITY, work, body }
  }

  /** Takes the next piece of the body. */
  receive({ response, isChunked, work, body }: Receiving, chunk: ArrayBuffer, isLast: boolean): void {
    try {
      const bytes = body.add(chunk, isLast)
      if (typeof bytes === 'string') {
        this.refuseUnread(response, bytes === 'too large' ? 'body_too_large' : 'unfinished_full')
      } else if (bytes !== null && (isChunked || this.#isDraining)) {
        const copy = new Uint8Array(bytes)
        this.#later(response, () => work(copy))
      } else if (bytes !== null) {
        work(bytes)
      }
    } catch (error) {
      this.internalError(response, error)
    } finally {
      if (isLast) body.end()
    }
  }

  /**
   * Does `work`, which takes long and answers the request, now or in one of the next turns of the event loop.
   * `body` has to be valid only during the call; `isCollected`: its memory is given back after it.
   */
  workLong(
    response: HttpResponse,
    body: Uint8Array,
    isCollected: boolean,
    work: (body: Uint8Array) => void,
  ): void {
    const { longWork, bodyMemory } = this.#options
    if (longWork.isFree) {
      work(body)
      return
    }
    if (isCollected) {
      bodyMemory.take(body.length)
    } else if (!bodyMemory.tryTake(body.length)) {
      this.#refuseAndClose(response, 'unfinished_full')
      return
    }
    const copy = new Uint8Array(body)
    let isAborted = false
    response.onAborted(() => {
      isAborted = true
      this.onAborted()
    })
    longWork.later(() => {
      bodyMemory.giveBack(copy.length)
      if (!isAborted) response.cork(() => this.#attempt(response, () => work(copy)))
    })
  }

  refuse(response: HttpResponse, code: ProblemCode, refusal: RefusalOptions): void {
    this.#options.intake.refused(code)
    // Only these answers do not show whether the client reads.
    const isSafe = !this.#options.memory.isShort || !(refusal.isLast || refusal.isHead)
    if (isSafe) response.cork(() => answerProblem(response, code, refusal))
    else cut(response)
  }

  /** Refuses a request that is not under way yet: nothing that follows on its connection can be trusted. */
  refuseUnderWay(response: HttpResponse, code: ProblemCode): void {
    this.underWayCount++
    this.refuseUnread(response, code)
  }

  /**
   * Refuses a request by its head. Its client hears of it while it still sends the body, which uWebSockets.js
   * then throws away; the connection goes on behind it, if it is known where that is.
   */
  refuseUnread(response: HttpResponse, code: ProblemCode): void {
    if (code === 'connections_full') {
      this.#refuseAndClose(response, code)
      response.onData(() => {})
    } else {
      this.underWayCount--
      const isUntrusted = isFramingRefused(code)
      this.refuse(response, code, { isLast: isUntrusted || this.#isDraining, isUntrusted })
    }
  }

  #refuseAndClose(response: HttpResponse, code: ProblemCode): void {
    this.#later(response, () => {
      this.underWayCount--
      this.refuse(response, code, { isLast: true })
    })
  }

  /** Whatever is thrown would end the process, or leave the request unanswered for ever. */
  internalError(response: HttpResponse, error: unknown): void {
    this.#options.intake.internalError(error)
    this.#refuseAndClose(response, 'fault')
  }

  #later(response: HttpResponse, work: () => void): void {
    answerLater(response, this.onAborted, () => this.#attempt(response, work))
  }

  #attempt(response: HttpResponse, work: () => void): void {
    try {
      work()
    } catch (error) {
      this.internalError(response, error)
    }
  }
}
