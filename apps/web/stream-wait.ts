import type { Flusher } from './flusher.ts'
import type { Ack, Generation, Waiting } from './waiting.ts'

/**
 * Messages of one stream that came in the same turn of the event loop and wait for the same: one waiter for
 * all of them, and one write to the socket.
 */
export class StreamWait {
  readonly generation: Generation
  readonly #ack: 'queued' | 'committed'
  readonly #waiting: Waiting
  readonly #numbers: number[] = []
  /** Increments of each. */
  readonly #accepted: number[] = []
  #cancel = () => {}
  #settle: (reached: Ack) => void = () => {}

  constructor(ack: 'queued' | 'committed', generation: Generation, waiting: Waiting) {
    this.#ack = ack
    this.generation = generation
    this.#waiting = waiting
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
    if (this.#numbers.length > 0) this.#waiting.companionCount++
    this.#numbers.push(message)
    this.#accepted.push(accepted)
  }

  /** Number and increments of each message. */
  *messages(): Generator<readonly [number, number]> {
    for (const [index, number] of this.#numbers.entries()) yield [number, this.#accepted[index]!]
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
    this.#waiting.companionCount -= this.#numbers.length - 1
  }
}
