import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type Clock, sleep } from '../../lib/clock.ts'
import { Doze } from '../../lib/doze.ts'
import { errorText } from '../../lib/errors.ts'
import type { Part } from '../../lib/lifecycle.ts'
import { type Log, RepeatedError } from '../../lib/log.ts'
import { decodeBatch } from '../../queue/batch.ts'
import {
  type Handover,
  listHandovers,
  readHandover,
  removeHandover,
  writeHandover,
} from '../../queue/handover.ts'
import type { ProducerQueue } from '../../queue/queue.ts'
import { Courier } from './courier.ts'
import type { Flusher } from './flusher.ts'
import { Producer } from './producer.ts'

/** Of the time that stopping may take, for handing on what is there. */
const drainShare = 0.6
const deliverIntervalMs = 100
/** A process that stops while others run leaves its file then. */
const lookIntervalMs = 1_000

/**
 * Writes down what a stopping producer still holds, for the next start. With no room beside the database it
 * tries the system's folder for temporary files, and says so; throws when there is none either.
 */
export function leaveHandover(database: string, producer: Producer, log: Log): void {
  const elements = producer.unconfirmed.map(batch => batch.element)
  if (elements.length === 0) return
  const batchCount = elements.length
  try {
    const path = writeHandover(database, producer.id, elements)
    log.warn({ path, batchCount }, 'the queue did not take everything: left for the next start')
  } catch (error) {
    const reason = errorText(error)
    const hint = 'move the file beside the database; the next start takes it from there'
    log.fatal({ reason, batchCount }, 'no hand-over file can be written beside the database')
    const path = writeHandover(join(tmpdir(), basename(database)), producer.id, elements)
    log.fatal({ path, batchCount, hint }, 'left in the folder for temporary files instead')
  }
}

/** The flusher as a part of a service: what it cannot hand on while it stops is written down. */
export function flusherPart(
  { flusher, producer }: { flusher: Flusher; producer: Producer },
  { database, stopTimeoutMs }: { database: string; stopTimeoutMs: number },
  log: Log,
): Part {
  const stop = async () => {
    // The last moments are for writing.
    if (!(await flusher.drain(stopTimeoutMs * drainShare))) leaveHandover(database, producer, log)
  }
  return { name: 'flusher', start: () => void flusher.start(), stop }
}

/**
 * Brings home what other web processes left behind, each under its old producer. A file is removed when the
 * store has all of it, so dying on the way costs nothing; and several takers of one file do no harm, as the
 * queue knows each batch by its producer and sequence.
 */
export class HandoverTaker {
  readonly #database: string
  readonly #queue: ProducerQueue
  readonly #clock: Clock
  readonly #log: Log
  /** By path: since when it is being taken; null for a damaged file, which is left alone. */
  readonly #taking = new Map<string, number | null>()
  #stopRequested = false
  #running: Promise<void> = Promise.resolve()
  /** Between two looks. */
  readonly #doze: Doze

  constructor(parts: { database: string; queue: ProducerQueue; clock: Clock; log: Log }) {
    this.#database = parts.database
    this.#queue = parts.queue
    this.#clock = parts.clock
    this.#doze = new Doze(parts.clock)
    this.#log = parts.log
  }

  /** For how long something has been waiting to be brought home; zero when nothing is. */
  oldestAgeMs(): number {
    const since = [...this.#taking.values()].filter(each => each !== null)
    return since.length === 0 ? 0 : this.#clock.monotonicMs() - Math.min(...since)
  }

  /** Resolves when it has been stopped. */
  start(): Promise<void> {
    this.#running = this.#run()
    return this.#running
  }

  async stop(): Promise<void> {
    this.#stopRequested = true
    this.#doze.hint()
    await this.#running
  }

  async #run(): Promise<void> {
    const takes = new Set<Promise<void>>()
    while (!this.#stopRequested) {
      for (const handover of listHandovers(this.#database)) {
        if (this.#taking.has(handover.path)) continue
        this.#taking.set(handover.path, this.#clock.monotonicMs())
        const take = this.#take(handover).finally(() => takes.delete(take))
        takes.add(take)
      }
      await this.#doze.sleep(lookIntervalMs)
    }
    await Promise.all(takes)
  }

  async #take({ path, producer: id }: Handover): Promise<void> {
    const producer = this.#resume(path, id)
    if (producer === null) return
    const batchCount = producer.unconfirmed.length
    this.#log.info({ path, batchCount }, 'taking over what another web process left')
    const error = new RepeatedError(this.#log, this.#clock, 'left batches cannot be pushed')
    const courier = new Courier(producer, this.#queue, this.#clock, error)
    while (producer.unconfirmed.length > 0 && !this.#stopRequested) {
      await courier.deliver()
      if (producer.unconfirmed.length > 0) await sleep(this.#clock, deliverIntervalMs)
    }
    this.#taking.delete(path)
    if (producer.unconfirmed.length > 0) return
    removeHandover(path)
    this.#log.info({ path }, 'what another web process left is in the store')
  }

  /**
   * Null when there is nothing to take: another process took it, or it is damaged and stays for the
   * operator.
   */
  #resume(path: string, id: string): Producer | null {
    try {
      const elements = readHandover(path)
      if (elements === null) {
        this.#taking.delete(path)
        return null
      }
      for (const element of elements) decodeBatch(element)
      const producer = Producer.resumed(elements, this.#clock.monotonicMs())
      if (producer.id !== id) throw new Error('the file is named after another producer')
      return producer
    } catch (error) {
      this.#taking.set(path, null)
      this.#log.error({ path, reason: errorText(error) }, 'a hand-over file is damaged and left where it is')
      return null
    }
  }
}
