import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import { batchKeysMax } from '../../queue/limits.ts'
import { outcomes } from '../../queue/queue.ts'
import type { Keyed } from './accumulator.ts'
import {
  answerAccepted,
  answerLater,
  answerProblem,
  answerReached,
  answerTooMuch,
  cut,
  type Reached,
  type Refusal,
} from './answer.ts'
import { Body, type BodyMemory } from './body.ts'
import type { Connections } from './connections.ts'
import { decodeBody } from './content-encoding.ts'
import type { Flusher } from './flusher.ts'
import { type Head, readHead } from './head.ts'
import { keyedRequest } from './idempotency.ts'
import { IncrementList } from './increment-list.ts'
import { type Ingest, readIncrements, refusal } from './ingest.ts'
import type { Refusal as IncrementsRefused } from './json.ts'
import type { NativeMemory } from './native-memory.ts'
import type { ProblemCode } from './problems.ts'
import {
  bodyUnitBytes,
  bodyUnits,
  errorsUnits,
  pieceUnits,
  requestUnits,
  type Source,
  skippedUnits,
  type Turn,
} from './turn.ts'
import type { Ack, Waiting } from './waiting.ts'

export interface IncrementRouteOptions {
  readonly ingest: Ingest
  readonly flusher: Flusher
  readonly waiting: Waiting
  readonly connections: Connections
  readonly turn: Turn
  readonly bodyBytesMax: number
  readonly bodyMemory: BodyMemory
  readonly memory: NativeMemory
  readonly defaultAck: Ack
  /** Requests that may wait for more than `memory` at a time. */
  readonly waitingMax: number
}

/** A request whose body comes in pieces. */
interface Receiving {
  readonly response: HttpResponse
  readonly source: Source
  readonly isChunked: boolean
  readonly body: Body
  /** What is to be done with the whole body, which is valid only during the call. */
  readonly work: (body: Uint8Array) => void
  isRefused: boolean
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

  /** `source` is whose share of this turn the request takes. */
  handle(response: HttpResponse, request: HttpRequest, source: Source): void {
    if (!this.hasShare(response, source)) return
    this.#underWayCount++
    response.onAborted(this.#onAborted)
    try {
      const { bodyBytesMax, connections } = this.#options
      const head = connections.isOverfull ? 'connections_full' : readHead(request, bodyBytesMax)
      if (typeof head === 'string') {
        this.#refuseUnread(response, head, source)
      } else {
        let receiving: Receiving | null = null
        response.onData((chunk, isLast) => {
          if (isLast && receiving === null && !head.isChunked && !this.#isDraining) {
            this.#receiveWhole(response, head, chunk, source)
          } else {
            receiving ??= this.#receiving(response, source, head.isChunked, body => {
              this.#count(response, head, body, source)
            })
            this.#receive(receiving, chunk, isLast)
          }
        })
      }
    } catch (error) {
      this.#fault(response, error)
    }
  }

  /**
   * Whether there is something left of the share of `source` in this turn. If not, the request is refused, and
   * the connection is being closed.
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
    this.#underWayCount++
    response.onAborted(this.#onAborted)
    const receiving = this.#receiving(response, source, false, () => {
      work()
      this.#underWayCount--
    })
    response.onData((chunk, isLast) => this.#receive(receiving, chunk, isLast))
  }

  /** The usual case: the whole body in one piece, within the bound that its length was checked against. */
  #receiveWhole(response: HttpResponse, head: Head, chunk: ArrayBuffer, source: Source): void {
    try {
      this.#count(response, head, new Uint8Array(chunk), source)
    } catch (error) {
      this.#fault(response, error)
    }
  }

  #receiving(
    response: HttpResponse,
    source: Source,
    isChunked: boolean,
    work: (body: Uint8Array) => void,
  ): Receiving {
    const body = new Body(this.#options.bodyBytesMax, this.#options.bodyMemory)
    response.onAborted(() => {
      body.end()
      this.#onAborted()
    })
    return { response, source, isChunked, work, body, isRefused: false }
  }

  #receive(receiving: Receiving, chunk: ArrayBuffer, isLast: boolean): void {
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
      this.#fault(response, error)
    } finally {
      if (isLast) body.end()
    }
  }

  /** A refusal waits for the end of a turn: what comes meanwhile must not keep the turn from ending. */
  #skip(response: HttpResponse, source: Source, chunk: ArrayBuffer): void {
    if (this.#options.turn.spend(source, pieceUnits + skippedUnits(chunk.byteLength)) === 'cut')
      response.close()
  }

  #count(response: HttpResponse, head: Head, received: Uint8Array, source: Source): void {
    const { ingest, turn, waiting, waitingMax, defaultAck, bodyBytesMax } = this.#options
    const body = decodeBody(head.contentEncoding, received, bodyBytesMax)
    // For what comes behind it: this one is here. What could not be decoded may have been as large as any.
    const byteCount = typeof body === 'string' ? bodyBytesMax : body.length
    if (byteCount >= bodyUnitBytes) turn.spend(source, bodyUnits(byteCount))
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
      turn.spend(source, errorsUnits(outcome.errors.length))
      this.#answerProblem(response, outcome)
    } else if (outcome.accepted === 0) {
      this.#answerReached(response, { accepted: 0, reached: asked, isComplete: true })
    } else if (asked !== 'memory') {
      this.#await(response, asked, outcome.accepted)
    } else {
      this.#underWayCount--
      if (turn.isDeep) response.cork(() => answerAccepted(response, outcome.accepted, this.#isDraining))
      else answerAccepted(response, outcome.accepted, this.#isDraining)
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
        this.#answerProblem(response, refusal('idempotency_key_reused'))
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
    // Whether the client reads shows in no other answer than these.
    const isSafe = !this.#options.memory.isShort || !(refusal.isLast || refusal.isHead)
    if (isSafe) response.cork(() => answerProblem(response, code, refusal))
    else cut(response)
  }

  /** For a request that another route met: what follows on its connection is not to be trusted. */
  refuseUnderWay(response: HttpResponse, code: ProblemCode, source: Source): void {
    this.#underWayCount++
    this.#refuseUnread(response, code, source)
  }

  /** Refuses a request by its head. */
  #refuseUnread(response: HttpResponse, code: ProblemCode, source: Source): void {
    this.#refuseAndClose(response, code)
    response.onData(chunk => this.#skip(response, source, chunk))
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
