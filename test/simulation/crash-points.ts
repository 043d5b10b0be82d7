import type { Keyed } from '../../intake/count/accumulator.ts'
import type { Clock } from '../../lib/clock.ts'
import { decodeBatch } from '../../batch/batch.ts'
import { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import { outcomes } from '../../batch/outcomes.ts'
import { keyedRequest, producerId } from '../kit/builders.ts'
import { MemoryStore } from '../kit/memory-store.ts'
import { Web } from './web.ts'

/** Who dies. The queue that dies comes back empty. */
export const victims = ['web', 'consumer', 'queue'] as const
type Victim = (typeof victims)[number]

export interface Crash {
  /** The boundary between a process and the world at which it happens, counted from 0. */
  readonly at: number
  readonly victim: Victim
}

class Died extends Error {
  readonly victim: Victim
  constructor(victim: Victim) {
    super(`the ${victim} died`)
    this.victim = victim
  }
}

const keyedCount = 3
const roundCount = 40
/** The round from which on a web process that died counts as gone. */
const goneRound = 20
const roundMs = 1_100

/**
 * One small story, always the same, in which somebody dies at chosen boundaries: before and after each call
 * of the queue and each transaction. Clients send requests with idempotency keys until they are told what
 * became of them, and others that wait for the commit.
 */
export class CrashStory {
  readonly #crashes: readonly Crash[]
  #boundaryCount = 0
  #nowMs = 0
  #queue: EmbeddedQueue
  readonly #store = new MemoryStore()
  readonly #clock: Clock
  #web: Web
  #webCount = 0
  readonly #dead: string[] = []
  readonly #isTold = new Map<string, boolean>()
  readonly #committed = new Map<string, boolean>()
  #broken: string | null = null

  constructor(crashes: readonly Crash[]) {
    this.#crashes = crashes
    const nowMs = () => this.#nowMs
    this.#clock = { nowMs, monotonicMs: nowMs, after: () => ({ cancel() {} }) }
    this.#queue = new EmbeddedQueue(this.#clock)
    this.#web = this.#newWeb()
  }

  /** Boundaries that were passed. */
  get boundaryCount(): number {
    return this.#boundaryCount
  }

  /** Resolves to null when every promise was kept. */
  async run(): Promise<string | null> {
    for (let index = 0; index < keyedCount; index++) this.#isTold.set(`k${index}`, false)
    for (let round = 0; round < roundCount; round++) {
      this.#nowMs += roundMs
      if (round < 3) this.#addUnkeyed(round)
      this.#sendUntold()
      await this.#alive(() => this.#deliver())
      await this.#alive(() => this.#consume(round >= goneRound))
      await this.#alive(() => this.#heartbeat())
    }
    return this.#verdict()
  }

  /** Replaces a process that dies in `work`; the others go on. */
  async #alive(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof Died)) throw error
      if (error.victim === 'web') {
        this.#dead.push(this.#web.producer.id)
        this.#web = this.#newWeb()
      }
    }
  }

  #boundary(): void {
    const at = this.#boundaryCount++
    const crash = this.#crashes.find(each => each.at === at)
    if (crash === undefined) return
    // The call that was to come, or its answer, is lost with it.
    if (crash.victim === 'queue') this.#queue = new EmbeddedQueue(this.#clock)
    throw new Died(crash.victim)
  }

  async #deliver(): Promise<void> {
    this.#web.seal(this.#nowMs)
    for (let count = 0; count < 4; count++) {
      const push = this.#web.producer.nextPush()
      if (push === null) return
      this.#boundary()
      const position = await this.#queue.push(push)
      this.#boundary()
      this.#web.heard(position)
    }
  }

  async #consume(isLate: boolean): Promise<void> {
    this.#boundary()
    const batches = (await this.#queue.read()).map(decodeBatch)
    this.#boundary()
    const publication = this.#store.publicationOf(batches, new Set(isLate ? this.#dead : []))
    this.#boundary()
    await this.#queue.publish(publication)
    this.#boundary()
  }

  async #heartbeat(): Promise<void> {
    this.#boundary()
    const { producer } = this.#web
    const position = await this.#queue.heartbeat(producer.id, producer.firstUnconfirmed)
    this.#boundary()
    this.#web.heard(position)
  }

  #addUnkeyed(round: number): void {
    this.#web.add(`memory ${round}`)
    const key = `committed ${round}`
    this.#committed.set(key, false)
    this.#web.addAndWait(key, 'committed', reached => {
      if (reached !== 'committed') return
      this.#committed.set(key, true)
      if (!this.#store.counts.has(key)) this.#broken = `${key} was acknowledged and is not in the store`
    })
  }

  /** A client sends again what it was not told about: it does not know whether its last try still waits. */
  #sendUntold(): void {
    for (const [key, isTold] of this.#isTold) {
      if (isTold) continue
      const keyed: Keyed = { request: keyedRequest(key, key, 1), sequenceLast: null, position: 0 }
      this.#web.addKeyed(keyed, (_, position) => {
        const outcome = position.outcomes.get(keyed.sequenceLast ?? 0)?.[keyed.position]
        if (outcome === undefined) return
        this.#isTold.set(key, true)
        if (outcome === outcomes.conflict) this.#broken = `${key} conflicts with itself`
        if (!this.#store.counts.has(key)) this.#broken = `${key} was told ${outcome} and is not in the store`
      })
    }
  }

  #verdict(): string | null {
    if (this.#broken !== null) return this.#broken
    for (const [key, count] of this.#store.counts) if (count !== 1) return `${key} was counted ${count} times`
    for (const [key, isTold] of this.#isTold) if (!isTold) return `the client of ${key} was never told`
    for (const key of this.#isTold.keys()) if (!this.#store.counts.has(key)) return `${key} is missing`
    for (const [key, isCertain] of this.#committed)
      if (isCertain && !this.#store.counts.has(key)) return `${key} is missing`
    if (this.#dead.length === 0)
      for (const key of this.#web.all)
        if (!this.#store.counts.has(key)) return `${key} is missing, and nobody died`
    if (this.#store.parkedBatches.size > 0) return 'something is parked for ever'
    return this.#web.producer.unconfirmed.length > 0 ? 'something is never confirmed' : null
  }

  #newWeb(): Web {
    return new Web(producerId(++this.#webCount), this.#clock)
  }
}
