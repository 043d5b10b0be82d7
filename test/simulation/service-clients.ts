import type { Keyed } from '../../intake/count/accumulator.ts'
import { outcomes } from '../../batch/outcomes.ts'
import type { KeyedRequest } from '../../batch/batch.ts'
import { keyedRequest } from '../kit/builders.ts'
import type { Random } from '../kit/random.ts'
import type { SimulatedDisk } from './simulated-disk.ts'
import type { WebProcess } from './web-process.ts'

/** A request with an idempotency key, which its client sends until it hears what became of it. */
export interface Insisted {
  readonly key: string
  /** It increments nothing. */
  readonly isEmpty: boolean
  sentCount: number
  isDone: boolean
}

/** The clients of a simulated service: what they sent, and what they were told. */
export class ServiceClients {
  readonly #random: Random
  readonly #disk: SimulatedDisk
  readonly #note: (event: string) => void
  readonly #insisted: Insisted[] = []
  readonly #refused: string[] = []
  readonly #maySendEmpty: boolean
  #count = 0
  /** A promise that was broken at the moment when it was made; null while all is well. */
  #broken: string | null = null

  constructor(random: Random, disk: SimulatedDisk, maySendEmpty: boolean, note: (event: string) => void) {
    this.#maySendEmpty = maySendEmpty
    this.#random = random
    this.#disk = disk
    this.#note = note
  }

  get broken(): string | null {
    return this.#broken
  }

  get areAllTold(): boolean {
    return this.#insisted.every(each => each.isDone)
  }

  /** One request of one kind to one of them. */
  send(webs: readonly WebProcess[]): void {
    const web = this.#random.pick(webs)
    const dice = this.#random.next()
    if (dice < 0.5) this.add(web)
    else if (dice < 0.7) this.#addAndWait(web)
    else if (dice < 0.85) this.insist(web)
    else {
      const open = this.#insisted.filter(each => !each.isDone)
      if (open.length > 0) this.#insist(web, this.#random.pick(open))
    }
  }

  /** One request of some increments that waits for nothing. */
  add(web: WebProcess): void {
    const keys = Array.from({ length: 1 + this.#random.below(4) }, () => `i${this.#count++}`)
    if (!web.add(keys)) this.#refused.push(...keys)
  }

  /** Sends a request with an idempotency key, a new one or again. */
  insist(web: WebProcess, insisted = this.#newInsisted()): Insisted {
    this.#insist(web, insisted)
    return insisted
  }

  insistOnAll(webs: readonly WebProcess[]): void {
    const open = this.#insisted.filter(each => !each.isDone)
    if (webs.length > 0) for (const insisted of open) this.#insist(this.#random.pick(webs), insisted)
  }

  /** Returns null when all that they were told became true. */
  verdict(): string | null {
    for (const key of this.#refused)
      if (this.#disk.countOf(key) !== 0) return `${key} was refused and is counted`
    for (const { key, isEmpty, isDone } of this.#insisted) {
      if (!isDone) return `the client of ${key} was never told what became of it`
      if (this.#disk.countOf(key) !== (isEmpty ? 0 : 1) && !this.#disk.isUndone(key))
        return `${key} is missing although its client was told that it counts`
    }
    return null
  }

  #addAndWait(web: WebProcess): void {
    const key = `i${this.#count++}`
    const ack = this.#random.pick(['queued', 'committed'] as const)
    const leave = web.addAndWait(key, ack, reached => {
      this.#note(`${key} waited for ${ack} and is ${reached}`)
      if (reached === 'committed' && this.#disk.countOf(key) !== 1)
        this.#broken = `${key} was acknowledged as committed and is not in the store`
    })
    if (leave === null) this.#refused.push(key)
    else if (this.#random.chance(0.1)) leave()
  }

  #newInsisted(): Insisted {
    const isEmpty = this.#maySendEmpty && this.#random.chance(0.2)
    const insisted = { key: `k${this.#insisted.length}`, isEmpty, sentCount: 0, isDone: false }
    this.#insisted.push(insisted)
    return insisted
  }

  #insist(web: WebProcess, insisted: Insisted): void {
    const { key } = insisted
    const request = insisted.isEmpty ? emptyRequest(key) : keyedRequest(key, key, 1)
    const keyed: Keyed = { request, sequenceLast: null, position: 0 }
    const leave = web.addKeyed(keyed, (reached, position) => {
      const outcome = position.outcomes.get(keyed.sequenceLast ?? 0)?.[keyed.position]
      this.#note(`${key} is ${reached} at web ${web.id}: ${outcome}`)
      if (outcome === outcomes.conflict) this.#broken = `${key} was told to conflict with itself`
      if (outcome === undefined || outcome === outcomes.full) return
      insisted.isDone = true
      if (this.#disk.countOf(key) !== (insisted.isEmpty ? 0 : 1))
        this.#broken = `${key} was told ${outcome} and is ${this.#disk.countOf(key)} times in the store`
      if (outcome === outcomes.duplicate && insisted.sentCount === 1)
        this.#broken = `${key} was a duplicate at its only try`
    })
    if (leave !== null) insisted.sentCount++
  }
}

function emptyRequest(idempotencyKey: string): KeyedRequest {
  return { idempotencyKey, fingerprint: '', increments: 0, keys: [], sums: [] }
}
