import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Push } from '../../queue/queue.ts'
import { producerId } from '../kit/builders.ts'
import { Random } from '../kit/random.ts'
import { ConsumerProcess, producerGoneAfterMs } from './consumer-process.ts'
import { FaultyFiles } from './faulty-files.ts'
import { FaultyQueue } from './faulty-queue.ts'
import { type HandoverWord, handoverWords, Operator } from './operator.ts'
import { ServiceClients } from './service-clients.ts'
import { ServiceJudge } from './service-judge.ts'
import { Shard } from './shard.ts'
import { SimulatedDisk } from './simulated-disk.ts'
import { Life, SimulatedTime } from './time.ts'
import { WebProcess } from './web-process.ts'
import { heldWords, type Word } from './words.ts'

const restartDelayMs = 300
const pauseMsMax = 5_000
const outageMsMax = 8_000
/** Longer than a request waits for its answer. */
const calmRoundMs = 6_000
/** Together longer than any ghost lingers, and than it takes to give a producer up, which may begin anew. */
const calmRoundCountMax = Math.ceil((5 * producerGoneAfterMs) / calmRoundMs)
/** Longer than a web process tries to hand on what it holds. */
const stopMs = 4_000
/** The longest turn of the event loop that one client can cause. */
const turnMsMax = 100
/**
 * A web process that nothing else hinders (no fault, no outage, no full queue) has pushed everything that is
 * older than its flush interval and this.
 */
const pushMsMax = 200
const dayMs = 86_400_000
const fileErrorProbability = 0.3
/** They are on from the beginning to the end, so that other schedules have to be without them. */
const lastingWords: ReadonlySet<Word> = new Set(['file-errors', 'push-times-out', 'endless-turn'])

/**
 * The whole service under random faults: the flushers, senders, hand-overs, the consumer's loop and the
 * SQLite store of production, with time, network and disk replaced. Any call to the queue may be lost,
 * carried out twice, late, or be the last of its process; transactions fail, or are committed in secret;
 * processes die, are paused, and stop in order; the queue forgets, or goes back to a backup. Other kinds of
 * bad days are switched on by their words. Each increment is a key of its own, so that the fate of each is
 * known.
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
  readonly #judge: ServiceJudge
  readonly #operator: Operator
  readonly #words: ReadonlySet<Word>
  /** Words that are steps of a schedule. */
  readonly #events: readonly (() => Promise<void> | void)[]
  /** Null when none of them fails. */
  readonly #files: FaultyFiles | null
  readonly #temporaryFolder = process.env.TMPDIR
  readonly #mayLoseQueue: boolean
  readonly #flushIntervalMs: number
  readonly #keysMax: number
  readonly #webs = new Set<WebProcess>()
  readonly #consumers = new Set<ConsumerProcess>()
  /** Further disks that have to be closed. */
  readonly #copies: SimulatedDisk[] = []
  #webCount = 0
  #consumerCount = 0
  #faultProbability: number
  /** Time until which nothing comes through to the queue. */
  #outageUntilMs = 0
  #wallClockDays = 0
  /** A broken promise that was found at once; null while all is well. */
  #broken: string | null = null

  constructor(seed: number, words: readonly Word[] = heldWords) {
    this.#random = new Random(seed)
    const isOn = (word: Word) => !lastingWords.has(word) || words.length === 1 || this.#random.chance(0.1)
    this.#words = new Set(words.filter(isOn))
    this.#shard = new Shard(this.#time, this.#has('endless-turn') ? 1_000 : this.#random.pick([3, 1_000]))
    this.#mayLoseQueue = this.#random.chance(0.6)
    this.#flushIntervalMs = this.#random.pick([20, 100, 400])
    this.#keysMax = this.#random.pick([12, 1_000])
    this.#faultProbability = this.#has('endless-turn') ? 0 : this.#random.pick([0.02, 0.1, 0.25])
    if (this.#has('keys-full')) this.#disk.keysMax = this.#random.pick([1, 3, Number.POSITIVE_INFINITY])
    const note = (event: string) => this.#note(event)
    this.#clients = new ServiceClients(this.#random, this.#disk, this.#has('empty-request'), note)
    this.#judge = new ServiceJudge({
      disk: this.#disk,
      shard: this.#shard,
      clients: this.#clients,
      database: this.#database,
      webs: this.#webs,
    })
    this.#operator = new Operator(this.#time, this.#random)
    this.#events = this.#makeEvents()
    this.#files = this.#has('file-errors') ? this.#makeFilesFaulty() : null
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
    this.#disk.keysMax = Number.POSITIVE_INFINITY
    this.#faultProbability = 0
    this.#outageUntilMs = 0
    for (const { life } of [...this.#webs, ...this.#consumers]) life.resume()
    await this.#time.pass(restartDelayMs + 1)
    for (let round = 0; round < calmRoundCountMax && this.verdictSoFar() === null; round++) {
      this.#clients.insistOnAll(this.#serving())
      await this.#time.pass(calmRoundMs)
      const isDone = this.#clients.areAllTold && !this.#operator.isBusy
      if (isDone && (await this.#judge.whatIsLeft()) === null) break
    }
  }

  /** Resolves to null when every promise was kept. Must be called once, after `run`. */
  async verdict(): Promise<string | null> {
    return (
      this.verdictSoFar() ??
      (await this.#judge.whatIsLeft()) ??
      this.#judge.fates() ??
      this.#judge.ledger(this.#mayLoseQueue) ??
      (this.#has('last-batches') ? this.#judge.lastBatches() : null)
    )
  }

  verdictSoFar(): string | null {
    return this.#broken ?? this.#clients.broken
  }

  close(): void {
    this.#files?.close()
    if (this.#temporaryFolder === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = this.#temporaryFolder
    for (const disk of [this.#disk, ...this.#copies]) disk.close()
    for (const folder of [this.#folder, `${this.#folder}-tmp`])
      rmSync(folder, { recursive: true, force: true })
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
    else if (dice < 0.93 && this.#events.length > 0) await this.#random.pick(this.#events)()
  }

  /** Returns the web processes that take requests. */
  #serving(): WebProcess[] {
    return [...this.#webs].filter(web => !web.isStopping && !web.life.isPaused)
  }

  #startWeb(): void {
    const life = new Life()
    const id = producerId(++this.#webCount)
    const onPush = (push: Push) => this.#judge.pushed(push)
    const queue = this.#connection(`web ${id}`, life, () => this.#crashWeb(web), onPush)
    const web = new WebProcess({
      id,
      life,
      queue,
      time: this.#time,
      database: this.#database,
      flushIntervalMs: this.#flushIntervalMs,
      keysMax: this.#keysMax,
      onFault: error => this.#metFault(web, error),
    })
    this.#webs.add(web)
  }

  #crashWeb(web: WebProcess | undefined): void {
    if (web === undefined || !this.#webs.delete(web)) return
    web.life.die()
    void this.#judge.died(web)
    this.#note(`web ${web.id} dies`)
    this.#time.after(restartDelayMs, () => this.#startWeb())
  }

  /** Stops a web process; `word` says what an operator does with the file that it may leave. */
  #stopWeb(web: WebProcess | undefined, word?: HandoverWord): void {
    if (web === undefined || !this.#serving().includes(web)) return
    this.#note(`web ${web.id} is to stop`)
    this.#startWeb()
    const onLeft = (keys: readonly string[], path: string) => {
      this.#note(`web ${web.id} leaves ${keys.length} keys`)
      if (word === 'handover-cut-off') this.#judge.cutOff(web, keys, path)
      if (word !== undefined) void this.#operator.carry(path, word).then(() => this.#bringBesideDatabase())
    }
    web.stop(onLeft).then(
      async left => {
        if (!this.#webs.delete(web)) return
        this.#note(`web ${web.id} has stopped`)
        const lie = await this.#judge.stopped(web, left)
        this.#broken ??= lie
        this.#bringBesideDatabase()
      },
      error => this.#metFault(web, error),
    )
  }

  #metFault(web: WebProcess, error: Error): void {
    this.#broken ??= `web ${web.id} met a fault: ${error.stack}`
  }

  #pause(process: { readonly life: Life } | undefined, msMax = pauseMsMax): void {
    if (process === undefined || process.life.isPaused || this.#has('endless-turn')) return
    process.life.pause()
    this.#note('a process is paused')
    this.#time.after(this.#random.below(msMax), () => process.life.resume())
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
    if (!this.#mayLoseQueue || this.#has('endless-turn')) return
    const harm = this.#random.pick(['loseAll', 'loseHead', 'freezeOrPutBackBackup'] as const)
    this.#note(`the queue: ${harm}`)
    await this.#shard[harm]()
    await this.#judge.takeStock()
  }

  #setWallClock(): void {
    this.#time.setWallClock(this.#wallClockDays * dayMs + this.#random.below(20) * 3_600_000)
    this.#note('the wall clock jumps')
  }

  #cutNetwork(ms = this.#random.below(outageMsMax)): void {
    if (this.#has('endless-turn')) return
    this.#outageUntilMs = this.#time.nowMs + ms
    this.#note('the network is down')
  }

  #connection(name: string, life: Life, crash: () => void, onPush?: (push: Push) => void): FaultyQueue {
    return new FaultyQueue({
      name,
      life,
      crash,
      ...(onPush && { onPush }),
      losesPushAnswers: this.#has('push-times-out'),
      shard: this.#shard,
      time: this.#time,
      random: this.#random,
      note: event => this.#note(event),
      faultProbability: () => (this.#time.nowMs < this.#outageUntilMs ? 1 : this.#faultProbability),
    })
  }

  #has(word: Word): boolean {
    return this.#words.has(word)
  }

  #makeEvents() {
    const events: Partial<Record<Word, () => Promise<void> | void>> = {
      'stop-after-forgetting': () => this.#stopAfterForgetting(),
      'endless-turn': () => this.#endlessTurn(),
      'last-batches': () => this.#loseLastBatches(),
      'late-request': () => this.#passADay(),
      'store-restored': () => this.#restoreStore(),
      'store-copied': () => this.#copyStore(),
      'file-errors': () => this.#leaveFile(),
      'handover-late': () => this.#leaveLate(),
      'silent-too-long': () => this.#standStill(),
    }
    for (const word of handoverWords) events[word] ??= () => this.#leaveFile(word)
    return [...this.#words].map(word => events[word]).filter(event => event !== undefined)
  }

  /** The second place for hand-over files is in the folder for temporary files. */
  #makeFilesFaulty(): FaultyFiles {
    const beside = `${this.#folder}-tmp`
    mkdirSync(beside)
    process.env.TMPDIR = beside
    const probability = () => (this.#faultProbability === 0 ? 0 : fileErrorProbability)
    return new FaultyFiles(this.#folder, this.#random, probability)
  }

  /** Moves files beside the database, as the log asks an operator to. */
  #bringBesideDatabase(): void {
    this.#files?.quietly(() => {
      const beside = `${this.#folder}-tmp`
      for (const name of readdirSync(beside)) renameSync(join(beside, name), join(this.#folder, name))
    })
  }

  /** Several requests, so that something is in memory. */
  #addSome(web: WebProcess): void {
    if (!this.#serving().includes(web)) return
    for (let count = 0; count < 3; count++) this.#clients.add(web)
  }

  async #stopAfterForgetting(): Promise<void> {
    const web = this.#serving()[0]
    if (!this.#mayLoseQueue || web === undefined) return
    this.#addSome(web)
    await this.#time.pass(this.#random.below(2 * this.#flushIntervalMs))
    this.#note('the queue forgets everything')
    this.#shard.loseAll()
    await this.#judge.takeStock()
    this.#stopWeb(web)
  }

  /** A web process stops while the queue cannot be reached. */
  async #leaveFile(word?: HandoverWord, web = this.#serving()[0]): Promise<void> {
    if (web === undefined) return
    this.#cutNetwork(stopMs)
    this.#addSome(web)
    this.#stopWeb(web, word)
    await this.#time.pass(stopMs)
  }

  /** The batch that the others wait for is in the file alone, and that comes when it was given up. */
  async #leaveLate(): Promise<void> {
    const web = this.#serving()[0]
    if (web === undefined || !(await this.#openGap(web))) return
    this.#cutNetwork(stopMs)
    this.#stopWeb(web, 'handover-late')
    for (const { life } of this.#consumers) life.resume()
    await this.#time.pass(stopMs)
  }

  /** The batch that the others wait for is in a process alone that says nothing until it was given up. */
  async #standStill(): Promise<void> {
    const web = this.#serving()[0]
    if (web === undefined || !(await this.#openGap(web))) return
    this.#pause(web, 2 * producerGoneAfterMs)
    for (const { life } of this.#consumers) life.resume()
    await this.#time.pass(2 * producerGoneAfterMs)
  }

  /** The queue loses the oldest of several batches. Resolves to false where it must not. */
  async #openGap(web: WebProcess): Promise<boolean> {
    const [consumer] = this.#consumers
    if (!this.#mayLoseQueue || consumer === undefined) return false
    this.#pause(consumer)
    for (let count = 0; count < 3; count++) {
      this.#addSome(web)
      await this.#time.pass(this.#flushIntervalMs + pushMsMax)
    }
    this.#note('the oldest batch vanishes')
    await this.#shard.loseHead()
    await this.#judge.takeStock()
    return true
  }

  /** Whatever it accepts meanwhile is held at the level `memory` alone. */
  async #endlessTurn(): Promise<void> {
    const web = this.#serving()[0]
    if (web === undefined) return
    web.life.pause()
    const lastsMs = 5 * this.#random.below(turnMsMax / 5)
    this.#note(`a turn of web ${web.id} lasts ${lastsMs} ms`)
    for (let count = 0; count < 5; count++) {
      if (this.#webs.has(web)) this.#clients.add(web)
      await this.#time.pass(lastsMs / 5)
    }
    if (!this.#webs.delete(web)) return
    web.life.die()
    this.#note(`web ${web.id} dies`)
    this.#time.after(restartDelayMs, () => this.#startWeb())
    const boundMs = this.#flushIntervalMs + pushMsMax
    const ages = (await this.#judge.died(web)).map(key => this.#time.nowMs - web.acceptedMs.get(key)!)
    if (Math.max(0, ...ages) > boundMs)
      this.#broken ??= `increments that died with web ${web.id} were accepted ${Math.max(...ages)} ms before`
  }

  async #loseLastBatches(): Promise<void> {
    const web = this.#serving()[0]
    const [consumer] = this.#consumers
    if (!this.#mayLoseQueue || web === undefined || consumer === undefined) return
    this.#pause(consumer)
    this.#addSome(web)
    await this.#time.pass(this.#flushIntervalMs + pushMsMax)
    this.#crashWeb(web)
    this.#note('the queue forgets everything')
    this.#shard.loseAll()
    await this.#judge.takeStock()
  }

  /** One copy of a keyed request is stuck in a process that stands still, another one is counted. */
  async #passADay(): Promise<void> {
    const [stuck, other] = this.#serving()
    if (stuck === undefined || other === undefined) return
    const insisted = this.#clients.insist(stuck)
    stuck.life.pause()
    this.#note('a process stands still')
    this.#clients.insist(other, insisted)
    await this.#time.pass(stopMs)
    this.#wallClockDays += 2
    this.#setWallClock()
    await this.#time.pass(stopMs)
    stuck.life.resume()
  }

  /** Everything stops, and only a hand-over file is newer than the store that is put back. */
  async #restoreStore(): Promise<void> {
    const web = this.#serving()[0]
    if (web === undefined || !this.#mayLoseQueue) return
    const backup = this.#disk.backup()
    this.#note('a backup of the store')
    this.#addSome(web)
    await this.#time.pass(stopMs)
    await this.#leaveFile(undefined, web)
    for (const each of [...this.#webs]) this.#crashWeb(each)
    for (const consumer of [...this.#consumers]) this.#crashConsumer(consumer)
    this.#shard.loseAll()
    this.#note('the store is back as it was at the backup')
    this.#judge.excuse(this.#disk.restore(backup))
    await this.#judge.takeStock()
    await this.#time.pass(restartDelayMs)
  }

  #copyStore(): void {
    if (this.#copies.length > 0) return
    const copy = new SimulatedDisk(this.#disk.backup())
    this.#copies.push(copy)
    this.#note('a consumer on a copy of the store')
    const life = new Life()
    const store = copy.open(
      this.#time.clockOf(life),
      this.#random,
      () => 0,
      () => {},
    )
    const queue = this.#connection('consumer on the copy', life, () => life.die())
    const parts = { life, queue, time: this.#time, store, database: this.#database, random: this.#random }
    const consumer = new ConsumerProcess(parts)
    consumer.run().catch(error => this.#note(`the consumer on the copy cannot go on: ${error.code}`))
  }

  #note(event: string): void {
    this.history.push(`${this.#time.nowMs} ms: ${event}`)
  }
}
