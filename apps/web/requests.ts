import type { HttpResponse } from 'uWebSockets.js'
import { answerLater, answerProblem, answerTooMuch, cut, type Refusal } from './answer.ts'
import { Body, type BodyMemory } from './body.ts'
import type { Ingest } from './ingest.ts'
import type { NativeMemory } from './native-memory.ts'
import type { ProblemCode } from './problems.ts'
import { pieceUnits, requestUnits, type Source, skippedUnits, type Turn } from './turn.ts'

/** A request whose body comes in pieces. */
export interface Receiving {
  readonly response: HttpResponse
  readonly source: Source
  readonly isChunked: boolean
  readonly body: Body
  /** What is to be done with the whole body, which is valid only during the call. */
  readonly work: (body: Uint8Array) => void
  isRefused: boolean
}

export interface RequestsOptions {
  readonly ingest: Ingest
  readonly turn: Turn
  readonly bodyBytesMax: number
  readonly bodyMemory: BodyMemory
  readonly memory: NativeMemory
}

/**
 * What all requests have in common, whatever their path: a share of the turn, a body, and that they may be
 * refused. Nothing is ever thrown into uWebSockets.js.
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

  /** From now on each answer closes its connection. */
  startDraining(): void {
    this.#isDraining = true
  }

  /**
   * Whether there is something left of the share of `source` in this turn. If not, the request is refused,
   * and the connection is being closed.
   */
  hasShare(response: HttpResponse, source: Source, isHead = false): boolean {
    const verdict = this.#options.turn.spend(source, requestUnits)
    if (verdict === 'fine') return true
    this.#options.ingest.refused('too_much_at_once')
    if (verdict === 'cut') response.close()
    else answerTooMuch(response, isHead)
    return false
  }

  /** Does `work`, which answers the request, when the body that nobody asked for is over. */
  skipBody(response: HttpResponse, source: Source, work: () => void): void {
    this.underWayCount++
    response.onAborted(this.onAborted)
    const receiving = this.receiving(response, source, false, () => {
      work()
      this.underWayCount--
    })
    response.onData((chunk, isLast) => this.receive(receiving, chunk, isLast))
  }

  receiving(
    response: HttpResponse,
    source: Source,
    isChunked: boolean,
    work: (body: Uint8Array) => void,
  ): Receiving {
    const body = new Body(this.#options.bodyBytesMax, this.#options.bodyMemory)
    response.onAborted(() => {
      body.end()
      this.onAborted()
    })
    return { response, source, isChunked, work, body, isRefused: false }
  }

  /** Takes the next piece of the body. */
  receive(receiving: Receiving, chunk: ArrayBuffer, isLast: boolean): void {
    const { response, source, isChunked, work, body } = receiving
    try {
      if (receiving.isRefused) {
        this.#skip(response, source, chunk)
        return
      }
      const isTooMuch = this.#options.turn.spend(source, pieceUnits) !== 'fine' && !isLast
      const bytes = isTooMuch ? body.end() : body.add(chunk, isLast)
      receiving.isRefused = isTooMuch || typeof bytes === 'string'
      if (isTooMuch) {
        this.#refuseAndClose(response, 'too_much_at_once')
      } else if (typeof bytes === 'string') {
        this.#refuseAndClose(response, bytes === 'too large' ? 'body_too_large' : 'unfinished_full')
      } else if (bytes !== null && (isChunked || this.#isDraining)) {
        const copy = new Uint8Array(bytes)
        this.#later(response, () => work(copy))
      } else if (bytes !== null) {
        work(bytes)
      }
    } catch (error) {
      this.fault(response, error)
    } finally {
      if (isLast) body.end()
    }
  }

  /** A refusal waits for the end of a turn: what comes meanwhile must not keep the turn from ending. */
  #skip(response: HttpResponse, source: Source, chunk: ArrayBuffer): void {
    const units = pieceUnits + skippedUnits(chunk.byteLength)
    if (this.#options.turn.spend(source, units) === 'cut') response.close()
  }

  refuse(response: HttpResponse, code: ProblemCode, refusal: Refusal): void {
    this.#options.ingest.refused(code)
    // Whether the client reads shows in no other answer than these.
    const isSafe = !this.#options.memory.isShort || !(refusal.isLast || refusal.isHead)
    if (isSafe) response.cork(() => answerProblem(response, code, refusal))
    else cut(response)
  }

  /** For a request that is not under way yet: what follows on its connection is not to be trusted. */
  refuseUnderWay(response: HttpResponse, code: ProblemCode, source: Source): void {
    this.underWayCount++
    this.refuseUnread(response, code, source)
  }

  /** Refuses a request by its head. */
  refuseUnread(response: HttpResponse, code: ProblemCode, source: Source): void {
    this.#refuseAndClose(response, code)
    response.onData(chunk => this.#skip(response, source, chunk))
  }

  /** What follows on the connection is not to be trusted, or not worth reading. */
  #refuseAndClose(response: HttpResponse, code: ProblemCode): void {
    this.#later(response, () => {
      this.underWayCount--
      this.refuse(response, code, { isLast: true })
    })
  }

  /** Whatever is thrown would end the process, or leave the request unanswered for ever. */
  fault(response: HttpResponse, error: unknown): void {
    this.#options.ingest.fault(error)
    this.#refuseAndClose(response, 'fault')
  }

  #later(response: HttpResponse, work: () => void): void {
    answerLater(response, this.onAborted, () => {
      try {
        work()
      } catch (error) {
        this.fault(response, error)
      }
    })
  }
}
