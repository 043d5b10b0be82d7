import type { Keyed } from '../../intake/count/accumulator.ts'
import { Producer } from '../../intake/send/producer.ts'
import { type FlushCohort, type Settle, AckWaiters } from '../../intake/send/ack-waiters.ts'
import type { Clock } from '../../lib/clock.ts'
import { encodeBatch } from '../../batch/writer.ts'
import type { Position } from '../../queue/queue.ts'

const ackTimeoutMs = 5_000

/** A web process, less its HTTP and its timers. */
export class Web {
  readonly producer: Producer
  readonly ackWaiters: AckWaiters
  /** Every unkeyed increment that it accepted. */
  readonly all: string[] = []
  /** Increments of each batch, by its sequence. */
  readonly sealed = new Map<number, number>()
  /** It died, and had written down what it held. */
  hasLeft = false
  /** Accepted and not yet sealed. */
  open: string[] = []
  #keyed: Keyed[] = []
  #cohort: FlushCohort = { sequenceLast: null }
  #sealedCount = 0

  constructor(id: string, clock: Clock) {
    this.producer = new Producer(id)
    this.ackWaiters = new AckWaiters(clock, ackTimeoutMs)
  }

  add(key: string): void {
    this.all.push(key)
    this.open.push(key)
  }

  /** Adds, like `add`, for a client that waits. */
  addAndWait(key: string, ack: 'queued' | 'committed', settle: Settle): void {
    this.add(key)
    this.ackWaiters.add(ack, this.#cohort, settle)
  }

  /** Returns how the client may go away. */
  addKeyed(keyed: Keyed, settle: Settle): () => void {
    this.#keyed.push(keyed)
    return this.ackWaiters.add('keyed', keyed, settle)
  }

  get holdsNothing(): boolean {
    return this.open.length === 0 && this.#keyed.length === 0 && this.producer.unconfirmed.length === 0
  }

  seal(nowMs: number): void {
    if ((this.open.length === 0 && this.#keyed.length === 0) || !this.producer.hasRoom) return
    const [keys, keyed] = [this.open, this.#keyed]
    const increments = keys.length + keyed.length
    this.#sealedCount += increments
    const content = {
      oldestMs: nowMs,
      increments,
      sealed: this.#sealedCount,
      keys,
      sums: keys.map(() => 1),
      keyed: keyed.map(({ request }) => request),
    }
    const sequence = this.producer.seal(id => encodeBatch({ ...id, ...content }), nowMs)
    this.sealed.set(sequence, increments)
    for (const [position, each] of keyed.entries()) Object.assign(each, { sequenceLast: sequence, position })
    this.#cohort.sequenceLast = sequence
    this.#cohort = { sequenceLast: null }
    this.open = []
    this.#keyed = []
  }

  /** Hears every answer of the queue, as the sender does. */
  heard(position: Position): void {
    this.producer.heard(position)
    this.ackWaiters.progress(this.producer.reached(position))
  }
}
