import type { Keyed } from '../../intake/count/accumulator.ts'
import { Producer } from '../../intake/send/producer.ts'
import { batchIdOf, decodeBatch, type ReceivedBatch } from '../../batch/batch.ts'
import { runsOf } from '../../intake/handover/handover-files.ts'
import { outcomes } from '../../batch/outcomes.ts'
import type { Position, Publication, Push } from '../../queue/queue.ts'
import { isWithin } from '../../batch/sequence-ranges.ts'
import { keyedRequest, producerId } from '../kit/builders.ts'
import { Random } from '../kit/random.ts'
import { MemoryStore } from '../kit/memory-store.ts'
import { Shard } from './shard.ts'
import { Life, SimulatedTime } from './time.ts'
import { Web } from './web.ts'

const storeId = 'the store'
const goneAfterMs = 60_000
const calmRoundCount = 200
/** The round by which missing batches were given up; batches that were left arrive all the same. */
const homecomingRound = 60

/** A client's request with an idempotency key, which it sends until it hears what became of it. */
interface Insisted {
  readonly key: string
  /** Copies that were sent, by whichever web process. */
  sentCount: number
  isDone: boolean
}

/** A process that pushes: a web process, or one that delivers what another one left. */
type Pusher = Pick<Web, 'producer' | 'heard'>

/**
 * The delivery protocol under random faults, run by the code that production runs (Producer, AckWaiters,
 * EmbeddedQueue, sequenceBatches, decideKeyed), with only time, network and disk replaced. Every increment is
 * a key of its own, so that the fate of each is known. What must hold: nothing counts twice; whatever its
 * producer still holds, has left behind, or has seen confirmed counts once in the end, though it may have
 * been given up meanwhile; what a client was told has been committed is in the store at that moment; a
 * request with an idempotency key counts once, however often it was sent.
 */
export class World {
  readonly history: string[] = []
  readonly #random: Random
  readonly #time = new SimulatedTime()
  readonly #shard = new Shard(this.#time, Number.POSITIVE_INFINITY)
  readonly #store = new MemoryStore()
  readonly #mayLoseQueue: boolean
  #wallClockMs = 0
  #webs: Web[] = []
  readonly #dead: Web[] = []
  /** Batches that dead processes had written down, until somebody brings them home. */
  #left: (readonly string[])[] = []
  readonly #takers: Pusher[] = []
  #webCount = 0
  #incrementCount = 0
  readonly #insisted: Insisted[] = []
  /** A promise that was broken at the moment when it was made; null while all is well. */
  #broken: string | null = null
  /** Pushes that timed out and may still be carried out. */
  readonly #ghosts: Push[] = []
  /** Batches that a consumer has read, or what it committed and has not published yet, by consumer. */
  readonly #rounds = new Map<string, { read: ReceivedBatch[] } | { committed: Publication }>()

  constructor(seed: number) {
    this.#random = new Random(seed)
    this.#mayLoseQueue = this.#random.chance(0.7)
    for (let count = 1 + this.#random.below(3); count > 0; count--) this.#newWeb()
  }

  async run(): Promise<void> {
    await this.#shard.execute(queue => queue.bind(storeId))
    const stepCount = 20 + this.#random.below(130)
    for (let step = 0; step < stepCount && this.#broken === null; step++) {
      this.#time.skip(this.#random.below(800))
      await this.#step()
    }
    this.#rounds.clear()
    for (const ghost of this.#ghosts) await this.#shard.execute(queue => queue.push(ghost))
    this.#note('faults stop')
    this.#time.skip(2 * goneAfterMs)
    for (let round = 0; round < calmRoundCount; round++) {
      this.#time.skip(300)
      if (round % 40 === 20) this.#insistOnAll()
      if (round === homecomingRound) while (this.#left.length > 0) this.#deliver()
      for (const web of this.#webs) web.seal(this.#time.nowMs)
      for (const pusher of this.#pushers) {
        await this.#push(pusher, true)
        await this.#heartbeat(pusher, true)
      }
      await this.#consume('first', true)
    }
  }

  /** Returns null when every promise was kept. */
  verdict(): string | null {
    const { counts, parkedBatches, givenUp } = this.#store
    if (this.#broken !== null) return this.#broken
    for (const [key, count] of counts) if (count !== 1) return `${key} was applied ${count} times`
    for (const web of this.#webs) {
      if (!web.holdsNothing) return `${web.producer.id} still holds something`
      for (const key of web.all) if (!counts.has(key)) return `${key} of a living producer is missing`
    }
    for (const { producer } of this.#takers)
      if (producer.unconfirmed.length > 0) return `what ${producer.id} left does not arrive`
    for (const web of this.#dead) {
      const unconfirmed = web.producer.unconfirmed.flatMap(({ element }) => decodeBatch(element).keys)
      const held = new Set([...web.open, ...(web.hasLeft ? [] : unconfirmed)])
      for (const key of web.all)
        if (!counts.has(key) && !held.has(key)) return `${key} was confirmed and is missing`
    }
    for (const { key, isDone } of this.#insisted) {
      if (!isDone) return `the client of ${key} was never told what became of it`
      if (!counts.has(key)) return `${key} is missing although its client was told that it counts`
    }
    if (parkedBatches.size > 0) return 'something is parked for ever'
    if (!this.#mayLoseQueue && [...givenUp.values()].flat().length > 0)
      return 'batches are given up although the queue lost nothing'
    return this.#ledger()
  }

  /** Checks that exactly those increments are lost that were given up and did not arrive. */
  #ledger(): string | null {
    for (const [id, { sealed, applied, duplicate, lost }] of this.#store.accounts) {
      if (sealed !== applied + duplicate + lost) return `the account of ${id} does not add up`
      const web = [...this.#webs, ...this.#dead].find(({ producer }) => producer.id === id)!
      const ranges = this.#store.givenUp.get(id) ?? []
      const missing = [...web.sealed].filter(([sequence]) => isWithin(ranges, sequence))
      const due = missing.reduce((sum, [, increments]) => sum + increments, 0)
      if (lost !== due) return `${id} has lost ${lost} increments, its missing batches held ${due}`
    }
    return null
  }

  async #step(): Promise<void> {
    const dice = this.#random.next()
    const web = this.#random.pick(this.#webs)
    if (dice < 0.12) web.add(`i${this.#incrementCount++}`)
    else if (dice < 0.18) this.#addAndWait(web)
    else if (dice < 0.22) this.#insist(web, this.#newInsisted())
    else if (dice < 0.26) this.#insistAgain()
    else if (dice < 0.4) web.seal(this.#time.nowMs)
    else if (dice < 0.6) await this.#push(this.#random.pick(this.#pushers))
    else if (dice < 0.63) await this.#heartbeat(this.#random.pick(this.#pushers))
    else if (dice < 0.86) await this.#consume(this.#random.chance(0.7) ? 'first' : 'second')
    else if (dice < 0.89) this.#rounds.delete(this.#random.chance(0.5) ? 'first' : 'second')
    else if (dice < 0.92) await this.#haunt()
    else if (dice < 0.94) await this.#harmQueue('loseAll')
    else if (dice < 0.96) await this.#harmQueue('freezeOrPutBackBackup')
    else if (dice < 0.97) await this.#harmQueue('loseHead')
    else if (dice < 0.98) this.#kill(web)
    else if (dice < 0.99) this.#setWallClock()
    else this.#deliver()
  }

  #addAndWait(web: Web): void {
    const key = `i${this.#incrementCount++}`
    const ack = this.#random.pick(['queued', 'committed'] as const)
    web.addAndWait(key, ack, reached => {
      this.#note(`${key} waited for ${ack} and is ${reached}`)
      if (reached === 'committed' && !this.#store.counts.has(key))
        this.#broken = `${key} was acknowledged as committed and is not in the store`
    })
  }

  #newInsisted(): Insisted {
    const insisted = { key: `k${this.#insisted.length}`, sentCount: 0, isDone: false }
    this.#insisted.push(insisted)
    return insisted
  }

  /** Sends one of the requests whose fate is not known once more, perhaps while another copy is under way. */
  #insistAgain(): void {
    const open = this.#insisted.filter(each => !each.isDone)
    if (open.length > 0) this.#insist(this.#random.pick(this.#webs), this.#random.pick(open))
  }

  #insistOnAll(): void {
    for (const insisted of this.#insisted)
      if (!insisted.isDone) this.#insist(this.#random.pick(this.#webs), insisted, false)
  }

  #insist(web: Web, insisted: Insisted, mayLeave = true): void {
    const { key } = insisted
    const isFirst = ++insisted.sentCount === 1
    const keyed: Keyed = { request: keyedRequest(key, key, 1), sequenceLast: null, position: 0 }
    const leave = web.addKeyed(keyed, (reached, position) => {
      const outcome = position.outcomes.get(keyed.sequenceLast ?? 0)?.[keyed.position]
      this.#note(`${key} is ${reached} at ${web.producer.id}: ${outcome}`)
      if (outcome === outcomes.conflict) this.#broken = `${key} was told to conflict with itself`
      if (outcome === undefined) return
      insisted.isDone = true
      if (!this.#store.counts.has(key)) this.#broken = `${key} was told ${outcome} and is not in the store`
      if (outcome === outcomes.duplicate && isFirst && insisted.sentCount === 1)
        this.#broken = `${key} was a duplicate at its only try`
    })
    if (mayLeave && this.#random.chance(0.1)) leave()
  }

  get #pushers(): Pusher[] {
    return [...this.#webs, ...this.#takers]
  }

  async #push(web: Pusher, isCalm = false): Promise<void> {
    const push = web.producer.nextPush()
    if (push === null) return
    const name = `${push.producer} push ${push.sequence}`
    const dice = isCalm ? 1 : this.#random.next()
    if (dice < 0.1) return this.#note(`${name} is dropped`)
    if (dice < 0.2) {
      this.#ghosts.push(push)
      return this.#note(`${name} times out and may come later`)
    }
    const position: Position = await this.#shard.execute(queue => queue.push(push))
    if (dice < 0.3) return this.#note(`${name}: the answer ${position.pushed} is lost`)
    this.#note(`${name} is answered ${position.pushed}, applied ${position.applied}`)
    web.heard(position)
  }

  async #heartbeat(web: Pusher, isCalm = false): Promise<void> {
    const position = await this.#shard.execute(queue =>
      queue.heartbeat(web.producer.id, web.producer.firstUnconfirmed),
    )
    if (isCalm || this.#random.chance(0.8)) web.heard(position)
  }

  async #haunt(): Promise<void> {
    const [ghost] = this.#ghosts.splice(this.#random.below(this.#ghosts.length), 1)
    if (ghost === undefined) return
    await this.#shard.execute(queue => queue.push(ghost))
    this.#note(`late push of ${ghost.producer} ${ghost.sequence}`)
  }

  async #consume(name: string, isCalm = false): Promise<void> {
    const round = this.#rounds.get(name)
    this.#rounds.delete(name)
    if (round === undefined) {
      const elements = (await this.#shard.execute(queue => queue.read())).slice(0, 1 + this.#random.below(5))
      this.#rounds.set(name, { read: elements.map(decodeBatch) })
    } else if ('read' in round) {
      // One that lives may have been silent for a minute, too.
      const isGone = (web: Web) => this.#random.chance(this.#dead.includes(web) ? (isCalm ? 1 : 0.2) : 0.05)
      const webs = [...this.#dead, ...(isCalm ? [] : this.#webs)]
      const gone = new Set(webs.filter(isGone).map(web => web.producer.id))
      this.#rounds.set(name, { committed: this.#store.publicationOf(round.read, gone) })
      this.#note(`${name} commits ${round.read.map(each => `${each.producer} ${each.sequence}`)}`)
    } else {
      await this.#shard.execute(queue => queue.publish(round.committed))
      this.#note(`${name} publishes ${JSON.stringify([...round.committed.watermarks])}`)
    }
  }

  async #harmQueue(harm: 'loseAll' | 'loseHead' | 'freezeOrPutBackBackup'): Promise<void> {
    if (!this.#mayLoseQueue) return
    this.#note(`the queue: ${harm}`)
    await this.#shard[harm]()
  }

  #setWallClock(): void {
    this.#wallClockMs += (this.#random.below(5) - 2) * 86_400_000
    this.#time.setWallClock(this.#wallClockMs)
    this.#note('the wall clock jumps')
  }

  #kill(web: Web): void {
    this.#dead.push(web)
    if (web.producer.unconfirmed.length > 0 && this.#random.chance(0.5)) {
      web.hasLeft = true
      this.#left.push(web.producer.unconfirmed.map(({ element }) => element))
    }
    this.#webs = this.#webs.filter(each => each !== web)
    this.#newWeb()
    this.#note(`${web.producer.id} dies`)
  }

  /** Delivers what a dead process left, perhaps long after it was given up. */
  #deliver(): void {
    const elements = this.#left.pop()
    if (elements === undefined) return
    for (const run of runsOf(elements)) {
      const { producer: id, sequence } = batchIdOf(run[0]!)!
      const producer = Producer.resumed(id, sequence)
      for (const element of run) producer.seal(() => element, this.#time.nowMs)
      this.#takers.push({ producer, heard: position => producer.heard(position) })
      this.#note(`what ${id} left is delivered`)
    }
  }

  #newWeb(): void {
    this.#webs.push(new Web(producerId(++this.#webCount), this.#time.clockOf(new Life())))
  }

  #note(event: string): void {
    this.history.push(event)
  }
}
