import { batchKeysMax } from '../../batch/limits.ts'
import type { Keyed } from '../count/accumulator.ts'
import type { Reached } from './replies.ts'
import type { Flusher } from '../send/flusher.ts'
import type { Head } from './request-head.ts'
import { keyedRequest } from '../count/idempotency-key.ts'
import type { IdempotencyWindow } from '../count/idempotency-window.ts'
import { IncrementList } from '../parse/increment-list.ts'
import { type Intake, readIncrements } from '../count/intake.ts'
import { refusal, type Refusal } from '../parse/problems.ts'
import type { KeyedRequests } from '../count/keyed-requests.ts'
import type { ProblemCode } from '../parse/problems.ts'
import type { Ack, AckWaiters } from '../send/ack-waiters.ts'

/** How a door answers its clients. A client is answered once. */
export interface Replies<Client> {
  /** This many increments are in memory, and the client asked for no more. */
  accepted(client: Client, accepted: number): void
  reached(client: Client, reached: Omit<Reached, 'isLast'>): void
  /** `idempotencyWindow` is null where that of the answer is not known, or is none of its business. */
  refused(client: Client, refusal: Refusal, idempotencyWindow: string | null): void
  /** Calls `gone` if the client goes away before it is answered. */
  onGone(client: Client, gone: () => void): void
}

export interface RequestCounterOptions {
  readonly intake: Intake
  readonly flusher: Flusher
  readonly ackWaiters: AckWaiters
  readonly keyedRequests: KeyedRequests
  readonly idempotencyWindow: IdempotencyWindow
  readonly defaultAck: Ack
  /** Requests that may wait for more than `memory` at a time. */
  readonly waitingMax: number
}

/** Counts requests whose head and body are there, whichever server received them, and has them answered. */
export class RequestCounter<Client> {
  readonly #options: RequestCounterOptions
  readonly #replies: Replies<Client>

  constructor(options: RequestCounterOptions, replies: Replies<Client>) {
    this.#options = options
    this.#replies = replies
  }

  /** `body` is without its content coding, or why it cannot be; it has to be valid only during the call. */
  count(client: Client, head: Head, body: Uint8Array | ProblemCode): void {
    const { intake, ackWaiters, waitingMax, defaultAck } = this.#options
    const asked = head.ack ?? defaultAck
    const mustWait = asked !== 'memory' || head.idempotencyKey !== null
    const isFull = mustWait && ackWaiters.count >= waitingMax
    if (typeof body === 'string' || isFull) {
      const isKeyed = head.idempotencyKey !== null
      this.#refuse(client, refusal(typeof body === 'string' ? body : 'waiting_full'), isKeyed)
      return
    }
    if (head.idempotencyKey !== null) {
      const refused = this.#countKeyed(client, head, body, head.idempotencyKey)
      if (refused !== null) this.#refuse(client, refused, true)
      return
    }
    const outcome = intake.count(head.contentType, head.query, body)
    if (outcome.code !== null) {
      this.#refuse(client, outcome, false)
    } else if (outcome.accepted === 0) {
      this.#replies.reached(client, { accepted: 0, reached: asked, isComplete: true })
    } else if (asked !== 'memory') {
      this.#await(client, asked, outcome.accepted)
    } else {
      this.#replies.accepted(client, outcome.accepted)
    }
  }

  #refuse(client: Client, refused: Refusal, isKeyed: boolean): void {
    this.#replies.refused(client, refused, isKeyed ? this.#options.idempotencyWindow.span : null)
  }

  /** Answers once what was counted has come as far as the client asked. */
  #await(client: Client, asked: 'queued' | 'committed', accepted: number): void {
    const cancel = this.#options.flusher.await(asked, reached => {
      const isComplete = reached === asked || reached === 'committed'
      this.#replies.reached(client, { accepted, reached, isComplete })
    })
    // The increments count all the same: only nobody hears of it.
    this.#replies.onGone(client, cancel)
  }

  /**
   * Counts what has an idempotency key, and answers when the store has decided whether it is a repetition.
   * Null, or why nothing was counted.
   */
  #countKeyed(client: Client, head: Head, body: Uint8Array, key: string): Refusal | null {
    this.#options.idempotencyWindow.ask()
    const list = new IncrementList()
    const refused = readIncrements(head.contentType, head.query, body, list)
    if (refused !== null) return refused
    const request = keyedRequest(key, list)
    if (request.keys.length > batchKeysMax) return refusal('idempotency_too_many_keys')
    const { intake, keyedRequests } = this.#options
    const code = keyedRequests.refusalOf(request)
    if (code !== null) return refusal(code)
    const keyed: Keyed = { request, sequenceLast: null, position: 0 }
    const outcome = intake.countKeyed(keyed)
    if (outcome.code !== null) return outcome
    keyedRequests.begin(request)
    this.#awaitKeyed(client, keyed, outcome.accepted)
    return null
  }

  #awaitKeyed(client: Client, keyed: Keyed, accepted: number): void {
    const { flusher, keyedRequests, idempotencyWindow } = this.#options
    const cancel = flusher.await(keyed, (reached, position) => {
      keyedRequests.end(keyed.request)
      const outcome = position.outcomes.get(keyed.sequenceLast ?? 0)?.[keyed.position]
      const decision = keyedRequests.decided(outcome)
      if (decision.code !== null) {
        this.#refuse(client, refusal(decision.code), true)
        return
      }
      const { result } = decision
      const isComplete = result !== undefined
      const { span } = idempotencyWindow
      this.#replies.reached(client, { accepted, reached, isComplete, result, idempotencyWindow: span })
    })
    this.#replies.onGone(client, () => {
      cancel()
      // Its client may well ask again on another connection.
      keyedRequests.end(keyed.request)
    })
  }
}
