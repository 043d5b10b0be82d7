import { expect, test } from 'vitest'
import { Producer } from '../apps/web/producer.ts'
import type { Clock } from '../lib/clock.ts'
import { type Batch, decodeBatch, encodeBatch } from '../queue/batch.ts'
import { EmbeddedQueue } from '../queue/embedded.ts'
import type { Publication, Push } from '../queue/queue.ts'
import { type Progress, sequenceBatches } from '../store/sequencing.ts'
import { producerId } from './builders.ts'

/**
 * The delivery protocol under random faults, run by the code that production runs: Producer, EmbeddedQueue
 * and sequenceBatches, with only time, network and disk replaced. Every increment is a key of its own, so
 * that the fate of each is known: whatever its producer still holds or has seen confirmed is applied once
 * in the end; nothing is ever applied twice.
 */
const scheduleCount = Number(process.env.PICCOLO_TEST_SCHEDULES ?? 3_000)
const firstSeed = Number(process.env.PICCOLO_TEST_SEED ?? 1)

const storeId = 'the store'
const goneAfterMs = 60_000

test(`every increment is applied once, in ${scheduleCount} random schedules from seed ${firstSeed}`, async () => {
  for (let seed = firstSeed; seed < firstSeed + scheduleCount; seed++) {
    const world = new World(seed)
    await world.run()
    const fault = world.verdict()
    if (fault !== null) expect.fail(`seed ${seed}: ${fault}\n${world.history.join('\n')}`)
  }
})

class World {
  readonly history: string[] = []
  readonly #random: () => number
  readonly #clock: Clock
  readonly #store = new MemoryStore()
  readonly #mayLoseQueue: boolean
  #nowMs = 0
  #queue: EmbeddedQueue
  /**
   * Sees all that the queue sees until it is frozen: what a backup of the queue would hold. Null after it
   * was put back.
   */
  #backup: EmbeddedQueue | null
  #isBackupFrozen = false
  #producers: Web[] = []
  readonly #dead: Web[] = []
  #producerCount = 0
  #incrementCount = 0
  /** Pushes that timed out and may still be carried out. */
  readonly #ghosts: Push[] = []
  /** By consumer: what it read, or what it committed and has not published yet. */
  readonly #rounds = new Map<string, { read: Batch[] } | { committed: Publication }>()

  constructor(seed: number) {
    this.#random = mulberry32(seed)
    const nowMs = () => this.#nowMs
    this.#clock = { nowMs, monotonicMs: nowMs, after: () => ({ cancel() {} }) }
    this.#queue = new EmbeddedQueue(this.#clock)
    this.#backup = new EmbeddedQueue(this.#clock)
    this.#mayLoseQueue = this.#random() < 0.7
    for (let count = 1 + this.#below(3); count > 0; count--) this.#newProducer()
  }

  async run(): Promise<void> {
    await this.#queue.bind(storeId)
    const stepCount = 20 + this.#below(130)
    for (let step = 0; step < stepCount; step++) {
      this.#nowMs += this.#below(800)
      await this.#step()
    }
    this.#rounds.clear()
    for (const ghost of this.#ghosts) await this.#queue.push(ghost)
    this.#note('faults stop')
    this.#nowMs += 2 * goneAfterMs
    for (let round = 0; round < 200; round++) {
      this.#nowMs += 400
      for (const web of this.#producers) {
        web.seal(this.#nowMs)
        await this.#push(web, true)
        web.producer.confirmed(await this.#queue.greet(web.producer.id, 1), this.#nowMs)
      }
      await this.#consume('first', true)
    }
  }

  /** Null when every promise was kept. */
  verdict(): string | null {
    const { counts, parked, lostBatchCount } = this.#store
    for (const [key, count] of counts) if (count !== 1) return `${key} was applied ${count} times`
    for (const web of this.#producers) {
      if (web.open.length > 0 || web.producer.unconfirmed.length > 0)
        return `${web.producer.id} still holds something`
      for (const key of web.all) if (!counts.has(key)) return `${key} of a living producer is missing`
    }
    for (const web of this.#dead) {
      const held = new Set([
        ...web.open,
        ...web.producer.unconfirmed.flatMap(({ element }) => decodeBatch(element).keys),
      ])
      for (const key of web.all)
        if (!counts.has(key) && !held.has(key)) return `${key} was confirmed and is missing`
    }
    if (parked.size > 0) return 'something is parked for ever'
    if (!this.#mayLoseQueue && lostBatchCount > 0)
      return 'batches were given up although the queue lost nothing'
    return null
  }

  async #step(): Promise<void> {
    const dice = this.#random()
    const web = this.#producers[this.#below(this.#producers.length)]!
    if (dice < 0.25) web.add(`i${this.#incrementCount++}`)
    else if (dice < 0.4) web.seal(this.#nowMs)
    else if (dice < 0.6) await this.#push(web)
    else if (dice < 0.85) await this.#consume(this.#random() < 0.7 ? 'first' : 'second')
    else if (dice < 0.88) this.#rounds.delete(this.#random() < 0.5 ? 'first' : 'second')
    else if (dice < 0.91) await this.#haunt()
    else if (dice < 0.93) this.#loseQueue()
    else if (dice < 0.95) this.#freezeOrPutBackBackup()
    else if (dice < 0.96) await this.#loseHead()
    else if (dice < 0.97) this.#kill(web)
  }

  async #push(web: Web, isCalm = false): Promise<void> {
    const push = web.producer.nextPush(this.#nowMs)
    if (push === null) return
    const name = `${push.producer} push ${push.sequence}`
    const dice = isCalm ? 1 : this.#random()
    if (dice < 0.1) return this.#note(`${name} is dropped`)
    if (dice < 0.2) {
      this.#ghosts.push(push)
      return this.#note(`${name} times out and may come later`)
    }
    const position = await this.#queue.push(push)
    if (!this.#isBackupFrozen) await this.#backup?.push(push)
    if (dice < 0.3) return this.#note(`${name}: the answer ${position.pushed} is lost`)
    web.producer.pushed(position, this.#nowMs)
    this.#note(`${name} is answered ${position.pushed}, applied ${position.applied}`)
  }

  async #haunt(): Promise<void> {
    const [ghost] = this.#ghosts.splice(this.#below(this.#ghosts.length), 1)
    if (ghost === undefined) return
    await this.#queue.push(ghost)
    this.#note(`late push of ${ghost.producer} ${ghost.sequence}`)
  }

  async #consume(name: string, isCalm = false): Promise<void> {
    const round = this.#rounds.get(name)
    this.#rounds.delete(name)
    if (round === undefined) {
      const elements = (await this.#queue.read()).slice(0, 1 + this.#below(5))
      this.#rounds.set(name, { read: elements.map(decodeBatch) })
    } else if ('read' in round) {
      const isGone = () => isCalm || this.#random() < 0.2
      const gone = new Set(this.#dead.map(web => web.producer.id).filter(isGone))
      this.#rounds.set(name, { committed: this.#store.apply(round.read, gone) })
      this.#note(`${name} commits ${round.read.map(each => `${each.producer} ${each.sequence}`)}`)
    } else {
      await this.#queue.publish(round.committed)
      if (!this.#isBackupFrozen) await this.#backup?.publish(round.committed)
      this.#note(`${name} publishes ${JSON.stringify([...round.committed.watermarks])}`)
    }
  }

  #loseQueue(): void {
    if (!this.#mayLoseQueue) return
    this.#queue = new EmbeddedQueue(this.#clock)
    this.#backup = null
    this.#note('the queue forgets everything')
  }

  #freezeOrPutBackBackup(): void {
    if (!this.#mayLoseQueue || this.#backup === null) return
    if (this.#isBackupFrozen) {
      this.#queue = this.#backup
      this.#backup = null
      this.#note('the queue is back as it was at the backup')
    } else {
      this.#isBackupFrozen = true
      this.#note('a backup of the queue')
    }
  }

  async #loseHead(): Promise<void> {
    const [head] = this.#mayLoseQueue ? await this.#queue.read() : []
    if (head === undefined) return
    await this.#queue.publish({ watermarks: new Map(), parked: [], outcomes: [], discarded: [head] })
    this.#note('the oldest batch vanishes')
  }

  #kill(web: Web): void {
    this.#dead.push(web)
    this.#producers = this.#producers.filter(each => each !== web)
    this.#newProducer()
    this.#note(`${web.producer.id} dies`)
  }

  #newProducer(): void {
    this.#producers.push(new Web(producerId(++this.#producerCount)))
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound)
  }

  #note(event: string): void {
    this.history.push(event)
  }
}

/** A web process, less its HTTP. */
class Web {
  readonly producer: Producer
  readonly all: string[] = []
  /** Accepted and not yet sealed. */
  open: string[] = []
  #sealedCount = 0

  constructor(id: string) {
    this.producer = new Producer(id)
  }

  add(key: string): void {
    this.all.push(key)
    this.open.push(key)
  }

  seal(nowMs: number): void {
    if (this.open.length === 0 || !this.producer.hasRoom) return
    this.#sealedCount += this.open.length
    const keys = this.open
    const content = {
      oldestMs: nowMs,
      increments: keys.length,
      sealed: this.#sealedCount,
      keys,
      sums: keys.map(() => 1),
      keyed: [],
    }
    this.producer.seal(id => encodeBatch({ ...id, ...content }), nowMs)
    this.open = []
  }
}

/** A store in memory, whose every method is one transaction. */
class MemoryStore {
  readonly counts = new Map<string, number>()
  readonly parked = new Map<string, Batch>()
  readonly #progress = new Map<string, Progress>()
  lostBatchCount = 0

  apply(batches: readonly Batch[], gone: ReadonlySet<string>): Publication {
    const nameOf = ({ producer, sequence }: { producer: string; sequence: number }) =>
      `${producer} ${sequence}`
    const sequenced = sequenceBatches({
      batches,
      progress: this.#progress,
      parked: [...this.parked.values()],
      loadParked: id => this.parked.get(nameOf(id))!,
      gone,
    })
    for (const batch of sequenced.park) this.parked.set(nameOf(batch), batch)
    for (const id of sequenced.unpark) this.parked.delete(nameOf(id))
    for (const batch of sequenced.apply) {
      for (const key of batch.keys) this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
      this.#progress.set(batch.producer, { watermark: batch.sequence, sealed: batch.sealed })
    }
    for (const count of sequenced.missing.values()) this.lostBatchCount += count
    return {
      watermarks: sequenced.watermarks,
      parked: [...this.parked.values()],
      outcomes: [],
      discarded: [],
    }
  }
}

/** A small seeded generator of numbers from 0 to 1, by Tommy Ettinger (public domain). */
function mulberry32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
