import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Push } from '../../queue/queue.ts'
import { decodeBatch } from '../../queue/batch.ts'
import { producerId } from '../builders.ts'
import { Random } from '../random.ts'
import { ConsumerProcess, producerGoneAfterMs } from './consumer-process.ts'
import { FaultyQueue } from './faulty-queue.ts'
import { SimulatedDisk } from './simulated-disk.ts'
import { ServiceClients } from './service-clients.ts'
import { Shard } from './shard.ts'
import { Life, SimulatedTime } from './time.ts'
import { WebProcess } from './web-process.ts'

const restartDelayMs = 300
const pauseMsMax = 5_000
const outageMsMax = 8_000
/** Longer than a request waits for its answer. */
const calmRoundMs = 6_000
/** Together longer than any ghost lingers, and than it takes to give a producer up, which may begin anew. */
const calmRoundCountMax = Math.ceil((3 * producerGoneAfterMs) / calmRoundMs)

/** A web process that ended, and what it did not know then to be in the store. */
interface Ended {
  readonly web: WebProcess
  readonly lowest: number
}

/**
 * The whole service under random faults: the flushers, couriers, hand-overs, the consumer's loop and the
 * SQLite store of production, with time, network and disk replaced. Any call to the queue may be lost,
 * carried out twice, late, or be the last of its process; transactions fail, or are committed in secret;
 * processes die, are paused, and stop in order; the queue forgets, or goes back to a backup. Each increment
 * is a key of its own, so that the fate of each is known.
 */
export class ServiceWorld {
  readonly history: string[] = []
  readonly #random: Random
  readonly #time = new SimulatedTime()
  readonly #shard: Shard
  readonly #disk = new SimulatedDisk()
  readonly #folder = mkdtempSync(join(tmpdir(), 'piccolo-world-'))
  readonly #database = join(this.#folder, 'numbers.db')
  readonly #clients: ServiceClients
  readonly #mayLoseQueue: boolean
  readonly #flushIntervalMs: number
  readonly #keysMax: number
  readonly #webs = new Set<WebProcess>()
  readonly #ended: Ended[] = []
  readonly #consumers = new Set<ConsumerProcess>()
  /** The keys of every batch that was ever sent, by producer and sequence. */
  readonly #sent = new Map<string, Map<number, readonly string[]>>()
  #webCount = 0
  #consumerCount = 0
  #faultProbability: number
  /** Until then nothing comes through to the queue. */
  #outageUntilMs = 0
  /** What was found wrong at the moment when it happened; null while all is well. */
  #broken: string | null = null

  constructor(seed: number) {
    this.#random = new Random(seed)
    this.#shard = new Shard(this.#time, this.#random.pick([3, 1_000]))
    this.#mayLoseQueue = this.#random.chance(0.6)
    this.#flushIntervalMs = this.#random.pick([20, 100, 400])
    this.#keysMax = this.#random.pick([12, 1_000])
    this.#faultProbability = this.#random.pick([0.02, 0.1, 0.25])
    this.#clients = new ServiceClients(this.#random, this.#disk, event => this.#note(event))
  }

  async run(): Promise<void> {
    for (let count = 1 + this.#random.below(3); count > 0; count--) this.#startWeb()
    this.#startConsumer()
    const stepCount = 20 + this.#random.below(80)
    for (let step = 0; step < stepCount && this.verdictSoFar() === null; step++) {
      await this.#step()
      await this.#time.pass(this.#random.below(300))
    }
    this.#note('faults stop')
    this.#faultProbability = 0
    this.#outageUntilMs = 0
    for (const { life } of [...this.#webs, ...this.#consumers]) life.resume()
    await this.#time.pass(restartDelayMs + 1)
    for (let round = 0; round < calmRoundCountMax; round++) {
      this.#clients.insistOnAll(this.#serving())
      await this.#time.pass(calmRoundMs)
      if (this.#clients.areAllTold && (await this.#whatIsLeft()) === null) break
    }
  }

  /** Null when every promise was kept. To be called once, after `run`. */
  async verdict(): Promise<string | null> {
    return this.verdictSoFar() ?? (await this.#whatIsLeft()) ?? this.#fates() ?? this.#ledger()
  }

  verdictSoFar(): string | null {
    return this.#broken ?? this.#clients.broken
  }

  close(): void {
    this.#disk.close()
    rmSync(this.#folder, { recursive: true })
  }

  async #step(): Promise<void> {
    const dice = this.#random.next()
    const serving = this.#serving()
    if (dice < 0.6) {
      if (serving.length > 0) this.#clients.send(serving)
    } else if (dice < 0.64) this.#crashWeb(this.#random.pick([...this.#webs]))
    else if (dice < 0.68) this.#stopWeb(this.#random.pick([...this.#webs]))
    else if (dice < 0.73) this.#pause(this.#random.pick([...this.#webs]))
    else if (dice < 0.78) this.#crashConsumer(this.#random.pick([...this.#consumers]))
    else if (dice < 0.83) this.#pauseConsumer()
    else if (dice < 0.86) await this.#harmQueue()
    else if (dice < 0.88) this.#setWallClock()
    else if (dice < 0.9) this.#cutNetwork()
  }

  /** Those that take requests. */
  #serving(): WebProcess[] {
    return [...this.#webs].filter(web => !web.isStopping && !web.life.isPaused)
  }

  #startWeb(): void {
    const life = new Life()
    const id = producerId(++this.#webCount)
    const sent = new Map<number, readonly string[]>()
    this.#sent.set(id, sent)
    const onPush = ({ producer, sequence, element }: Push) => {
      this.#sent.get(producer)?.set(sequence, decodeBatch(element).keys)
    }
    const queue = this.#connection(`web ${id}`, life, () => this.#crashWeb(web), onPush)
    const web = new WebProcess({
      id,
      life,
      queue,
      time: this.#time,
      database: this.#database,
      flushIntervalMs: this.#flushIntervalMs,
      keysMax: this.#keysMax,
    })
    this.#webs.add(web)
  }

  #crashWeb(web: WebProcess | undefined): void {
    if (web === undefined || !this.#webs.delete(web)) return
    web.life.die()
    this.#ended.push({ web, lowest: web.lowest })
    this.#note(`web ${web.id} dies`)
    this.#time.after(restartDelayMs, () => this.#startWeb())
  }

  #stopWeb(web: WebProcess | undefined): void {
    if (web === undefined || web.isStopping || web.life.isPaused) return
    this.#note(`web ${web.id} is to stop`)
    this.#startWeb()
    web.stop().then(left => {
      if (!this.#webs.delete(web)) return
      this.#clients.mustCount(this.#mayLoseQueue ? left : web.accepted)
      this.#ended.push({ web, lowest: web.lowest })
      this.#note(`web ${web.id} has stopped and left ${left.length} keys`)
    })
  }

  #pause(process: { readonly life: Life } | undefined): void {
    if (process === undefined || process.life.isPaused) return
    process.life.pause()
    this.#note('a process is paused')
    this.#time.after(this.#random.below(pauseMsMax), () => process.life.resume())
  }

  #startConsumer(): void {
    const life = new Life()
    const clock = this.#time.clockOf(life)
    const name = `consumer ${++this.#consumerCount}`
    const fail = () => this.#faultProbability
    const store = this.#disk.open(clock, this.#random, fail, event => this.#note(`${name}: ${event}`))
    const crash = () => this.#crashConsumer(consumer)
    const queue = this.#connection(name, life, crash)
    const parts = { life, queue, time: this.#time, store, database: this.#database, random: this.#random }
    const consumer = new ConsumerProcess(parts)
    this.#consumers.add(consumer)
    consumer.run().catch(error => {
      this.#note(`${name} cannot go on: ${error.code ?? error.stack}`)
      // A database that lacks what was confirmed: exactly what must never come about.
      if (error.code === undefined || error.code === 'store_outdated') this.#broken = String(error)
      this.#crashConsumer(consumer)
    })
  }

  #crashConsumer(consumer: ConsumerProcess | undefined): void {
    if (consumer === undefined || !this.#consumers.delete(consumer)) return
    consumer.life.die()
    this.#note('a consumer dies')
    if (this.#consumers.size === 0) this.#time.after(restartDelayMs, () => this.#startConsumer())
  }

  /** At times another one is started meanwhile, so that the revived one is a second one. */
  #pauseConsumer(): void {
    const [consumer] = this.#consumers
    if (consumer === undefined || consumer.life.isPaused) return
    this.#pause(consumer)
    if (this.#consumers.size === 1 && this.#random.chance(0.5)) this.#startConsumer()
  }

  async #harmQueue(): Promise<void> {
    if (!this.#mayLoseQueue) return
    const harm = this.#random.pick(['loseAll', 'loseHead', 'freezeOrPutBackBackup'] as const)
    this.#note(`the queue: ${harm}`)
    await this.#shard[harm]()
  }

  #setWallClock(): void {
    this.#time.setWallClock(this.#random.below(20) * 3_600_000)
    this.#note('the wall clock jumps')
  }

  #cutNetwork(): void {
    this.#outageUntilMs = this.#time.nowMs + this.#random.below(outageMsMax)
    this.#note('the network is down')
  }

  #connection(name: string, life: Life, crash: () => void, onPush?: (push: Push) => void): FaultyQueue {
    return new FaultyQueue({
      name,
      life,
      crash,
      ...(onPush && { onPush }),
      shard: this.#shard,
      time: this.#time,
      random: this.#random,
      note: event => this.#note(event),
      faultProbability: () => (this.#time.nowMs < this.#outageUntilMs ? 1 : this.#faultProbability),
    })
  }

  async #whatIsLeft(): Promise<string | null> {
    for (const web of this.#webs) if (!web.holdsNothing) return `web ${web.id} still holds something`
    const queued = await this.#shard.execute(queue => queue.length())
    if (queued > 0) return `${queued} batches are left in the queue`
    if (this.#disk.number('SELECT count(*) FROM parked') > 0) return 'something is parked for ever'
    return null
  }

  #fates(): string | null {
    if (this.#disk.number('SELECT count(*) FROM numbers WHERE value <> 1') > 0)
      return 'something was counted twice'
    for (const web of this.#webs) {
      const missing = web.accepted.find(key => this.#disk.countOf(key) !== 1)
      if (missing !== undefined) return `${missing} of the living web ${web.id} is missing`
    }
    for (const { web, lowest } of this.#ended) {
      for (const [sequence, keys] of this.#sent.get(web.id)!) {
        const missing = keys.find(key => this.#disk.countOf(key) !== 1)
        if (sequence < lowest && missing !== undefined) return `${missing} was confirmed and is missing`
      }
    }
    return this.#clients.verdict(this.#mayLoseQueue)
  }

  #ledger(): string | null {
    const sum = (column: string) => this.#disk.number(`SELECT coalesce(sum(${column}), 0) FROM producers`)
    const { sealed, applied, duplicate, lost } = {
      sealed: sum('sealed'),
      applied: sum('applied'),
      duplicate: sum('duplicate'),
      lost: sum('lost'),
    }
    if (sealed !== applied + duplicate + lost) return `the ledger does not add up: ${sealed} were sealed`
    if (applied !== this.#disk.number('SELECT coalesce(sum(value), 0) FROM numbers'))
      return `the ledger says that ${applied} were applied`
    if (lost > 0 && !this.#mayLoseQueue) return `${lost} were lost although the queue lost nothing`
    return null
  }

  #note(event: string): void {
    this.history.push(`${this.#time.nowMs} ms: ${event}`)
  }
}
