import type { Flusher } from '../../../intake/send/flusher.ts'
import type { MessagesCounted } from './answers.ts'
import type { Ack, FlushCohort, AckWaiters } from '../../../intake/send/ack-waiters.ts'

/**
 * Messages of one stream that came in the same turn of the event loop and wait for the same: one waiter for
 * all of them, and one write to the socket.
 */
export class AckGroup {
  readonly cohort: FlushCohort
  readonly #ack: 'queued' | 'committed'
  readonly #ackWaiters: AckWaiters
  /** Messages in a row have one answer. */
  readonly #isJoined: boolean
  readonly #answers: MessagesCounted[] = []
  #messageCount = 0
  #cancel = () => {}
  #settle: (reached: Ack) => void = () => {}

  constructor(
    ack: 'queued' | 'committed',
    { cohort, ackWaiters, isJoined }: { cohort: FlushCohort; ackWaiters: AckWaiters; isJoined: boolean },
  ) {
    this.#ack = ack
    this.cohort = cohort
    this.#ackWaiters = ackWaiters
    this.#isJoined = isJoined
  }

  /** The answers to send. */
  get answers(): readonly MessagesCounted[] {
    return this.#answers
  }

  begin(flusher: Flusher, settle: (reached: Ack) => void): void {
    this.#settle = settle
    this.#cancel = flusher.await(this.#ack, reached => {
      this.#leave()
      settle(reached)
    })
  }

  /** The first one is the waiter itself. */
  add(message: number, accepted: number): void {
    if (this.#messageCount++ > 0) this.#ackWaiters.companionCount++
    const last = this.#answers.at(-1)
    if (this.#isJoined && last !== undefined && last.message === message - 1) {
      last.message = message
      last.messages++
      last.accepted += accepted
    } else {
      this.#answers.push({ message, messages: 1, accepted })
    }
  }

  /** Nobody is to hear of it. */
  cancel(): void {
    this.#cancel()
    this.#leave()
  }

  /** Tells what is certain, though it is less than was asked. */
  giveUp(): void {
    this.cancel()
    this.#settle('memory')
  }

  #leave(): void {
    this.#ackWaiters.companionCount -= this.#messageCount - 1
  }
}
