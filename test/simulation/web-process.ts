import { pino } from 'pino'
import type { Keyed } from '../../intake/count/accumulator.ts'
import { BatchSender } from '../../intake/send/batch-sender.ts'
import { Flusher } from '../../intake/send/flusher.ts'
import { HandoverRecovery } from '../../intake/handover/handover-recovery.ts'
import { Producer } from '../../intake/send/producer.ts'
import { type Settle, AckWaiters } from '../../intake/send/ack-waiters.ts'
import { RepeatedError } from '../../lib/process/log.ts'
import { decodeBatch } from '../../batch/batch.ts'
import { Binding } from '../../queue/store-binding.ts'
import { leaveBatches, type Place, runsOf } from '../../intake/handover/handover-files.ts'
import { increments } from '../kit/increments.ts'
import type { FaultyQueue } from './faulty-queue.ts'
import { promptDisk } from './prompt-disk.ts'
import type { Life, SimulatedTime } from './time.ts'

const ackTimeoutMs = 5_000
const stopTimeoutMs = 3_000
const log = pino({ level: 'silent' })

/** A web process less its HTTP: put together from the same parts as in apps/web/main.ts. */
export class WebProcess {
  readonly life: Life
  /** Unkeyed increments that it accepted, and when. */
  readonly accepted: string[] = []
  readonly acceptedMs = new Map<string, number>()
  readonly #producer: Producer
  readonly #flusher: Flusher
  readonly #recovery: HandoverRecovery
  readonly #queue: FaultyQueue
  readonly #time: SimulatedTime
  readonly #place: Place
  readonly #binding: Binding
  #isStopping = false

  constructor(parts: {
    id: string
    life: Life
    queue: FaultyQueue
    time: SimulatedTime
    database: string
    flushIntervalMs: number
    keysMax: number
    /** Hears of an error that nobody caught, which ends a process. */
    onFault: (error: Error) => void
  }) {
    const { id, life, queue, time, database, flushIntervalMs, keysMax } = parts
    const clock = time.clockOf(life)
    this.life = life
    this.#queue = queue
    this.#time = time
    this.#place = { database, stateDir: null }
    this.#binding = new Binding(queue)
    this.#producer = new Producer(id)
    const ackWaiters = new AckWaiters(clock, ackTimeoutMs)
    const error = new RepeatedError(log, clock, 'batches cannot be pushed')
    const sender = new BatchSender(this.#producer, queue, clock, error, position =>
      ackWaiters.progress(position),
    )
    this.#flusher = new Flusher({ sender, queue, clock, flushIntervalMs, keysMax, ackWaiters })
    const [place, binding] = [this.#place, this.#binding]
    this.#recovery = new HandoverRecovery({ place, queue, binding, clock, log, disk: promptDisk })
    this.#recovery.start().catch(parts.onFault)
    this.#flusher.start().catch(parts.onFault)
  }

  get id(): string {
    return this.#producer.id
  }

  get isStopping(): boolean {
    return this.#isStopping
  }

  get holdsNothing(): boolean {
    return this.#flusher.keyCount === 0 && this.#producer.unconfirmed.length === 0
  }

  get harmCountHeard(): number {
    return this.#queue.harmCountHeard
  }

  /** The first of its sequences that is not known to be in the store. */
  get firstUnconfirmed(): number {
    return this.#producer.firstUnconfirmed
  }

  /** Adds increments of 1. Returns false when there was no room: none of them may ever be counted then. */
  add(keys: readonly string[]): boolean {
    const isAccepted = this.#flusher.tryAdd(increments(...keys.map(key => [key, 1] as const)))
    if (isAccepted) this.accepted.push(...keys)
    if (isAccepted) for (const key of keys) this.acceptedMs.set(key, this.#time.nowMs)
    return isAccepted
  }

  /** Adds, like `add`, for a client that waits; returns how it goes away, or null when it was refused. */
  addAndWait(key: string, ack: 'queued' | 'committed', settle: Settle): (() => void) | null {
    return this.add([key]) ? this.#flusher.await(ack, settle) : null
  }

  addKeyed(keyed: Keyed, settle: Settle): (() => void) | null {
    return this.#flusher.tryAddKeyed(keyed) ? this.#flusher.await(keyed, settle) : null
  }

  /**
   * Hands on what it holds, or writes it down, and ends. Resolves to what it wrote down; `onLeft` hears of
   * that at once.
   */
  async stop(onLeft: (keys: readonly string[], path: string) => void): Promise<string[]> {
    this.#isStopping = true
    const isDone = await this.#flusher.drain(stopTimeoutMs)
    const elements = isDone ? [] : this.#producer.unconfirmed.map(({ element }) => element)
    const keysOf = (run: readonly string[]) => run.flatMap(element => decodeBatch(element).keys)
    for (const run of runsOf(elements)) {
      const leftover = { store: this.#binding.store, producer: this.id, elements: run }
      for (const path of leaveBatches(this.#place, leftover, log).paths) onLeft(keysOf(run), path)
    }
    await this.#recovery.stop()
    this.life.die()
    return keysOf(elements)
  }
}
