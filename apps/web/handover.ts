import { type Clock, sleep } from '../../lib/clock.ts'
import { errorText, OperationError } from '../../lib/errors.ts'
import { type Log, RepeatedError } from '../../lib/log.ts'
import { decodeBatch } from '../../queue/batch.ts'
import { type Handover, readHandovers, removeHandover, writeHandover } from '../../queue/handover.ts'
import type { ProducerQueue } from '../../queue/queue.ts'
import { Courier } from './courier.ts'
import { Producer } from './producer.ts'

const deliverIntervalMs = 100

/**
 * Writes down what a stopping producer still holds, for the next start. Throws what the file system throws.
 */
export function leaveHandover(database: string, producer: Producer, log: Log): void {
  const { unconfirmed } = producer
  if (unconfirmed.length === 0) return
  const elements = unconfirmed.map(batch => batch.element)
  const path = writeHandover(database, producer.id, elements)
  log.warn(
    { path, batchCount: elements.length },
    'the queue did not take everything: left for the next start',
  )
}

/**
 * Brings home what earlier web processes left behind, each under its old producer. A file is removed when
 * the store has all of it, so dying on the way costs nothing; and several takers of one file do no harm, as
 * the queue knows each batch by its producer and sequence.
 */
export class HandoverTaker {
  readonly #database: string
  readonly #queue: ProducerQueue
  readonly #clock: Clock
  readonly #log: Log
  #stopRequested = false
  #running: Promise<void> = Promise.resolve()

  constructor(parts: { database: string; queue: ProducerQueue; clock: Clock; log: Log }) {
    this.#database = parts.database
    this.#queue = parts.queue
    this.#clock = parts.clock
    this.#log = parts.log
  }

  start(): void {
    const takes = readHandovers(this.#database).map(handover => this.#take(handover))
    this.#running = Promise.all(takes).then(() => {})
  }

  async stop(): Promise<void> {
    this.#stopRequested = true
    await this.#running
  }

  async #take({ path, producer: id, elements }: Handover): Promise<void> {
    const producer = this.#resume(path, id, elements)
    if (producer === null) return
    this.#log.info({ path, batchCount: elements.length }, 'taking over what an earlier web process left')
    const error = new RepeatedError(this.#log, this.#clock, 'left batches cannot be pushed')
    const courier = new Courier(producer, this.#queue, this.#clock, error)
    while (producer.unconfirmed.length > 0 && !this.#stopRequested) {
      await courier.deliver()
      if (producer.unconfirmed.length > 0) await sleep(this.#clock, deliverIntervalMs)
    }
    if (producer.unconfirmed.length > 0) return
    removeHandover(path)
    this.#log.info({ path }, 'what an earlier web process left is in the store')
  }

  /** Null when the file is not what we write: then it stays for the operator. */
  #resume(path: string, id: string, elements: readonly string[]): Producer | null {
    try {
      for (const element of elements) decodeBatch(element)
      const producer = Producer.resumed(elements, this.#clock.monotonicMs())
      if (producer.id !== id) throw new Error('the file is named after another producer')
      return producer
    } catch (error) {
      const hint = error instanceof OperationError ? error.policy.hint : undefined
      this.#log.error(
        { path, reason: errorText(error), hint },
        'a hand-over file is damaged and left where it is',
      )
      return null
    }
  }
}
