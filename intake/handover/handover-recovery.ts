import type { Clock } from '../../lib/clock.ts'
import { WakeableSleep } from '../../lib/wakeable-sleep.ts'
import { type Log, RepeatedError } from '../../lib/process/log.ts'
import type { Binding } from '../../queue/store-binding.ts'
import { handoverError, handoverErrorOf } from './errors.ts'
import { type HandoverFile, listHandovers, type Place } from './handover-files.ts'
import { type Disk, isNotFound, systemDisk } from './disk.ts'
import { readHeader, readManifest } from './file-reader.ts'
import type { ProducerQueue } from '../../queue/queue.ts'
import { ForeignFiles } from './foreign-files.ts'
import { deliverFile } from './delivery.ts'

/** A process that stops while others run leaves its file then. */
const lookIntervalMs = 1_000
/** Files at a time: a bound on memory and descriptors. */
const visitsMax = 4
/** A file of the first form, which does not say where it ends, has to stay as it is for so long. */
const settleMs = 5_000
/** How long a file that names its store waits until this process knows the one of the queue. */
const bindingWaitMs = 10_000
/** A file that makes no progress for so long lets another one go first. */
const patienceMs = 10_000
/** Time after which a file that could not be read is tried again, though it has not changed. */
const retryMs = 10_000
/** Files that readiness names. */
const namedMax = 10

/** One file, from when it is first seen to when it is gone. */
interface Watch {
  readonly name: string
  readonly seenMs: number
  /** Changes whenever there is a reason to look again. */
  signature: string
  /** When the signature changed last. */
  unchangedMs: number
  visitedMs: number
  isVisited: boolean
  /** Why the file was left where it is; null while it was not. */
  leftCode: string | null
}

export interface HandoverRecoveryParts {
  readonly place: Place
  readonly queue: ProducerQueue
  readonly binding: Binding
  readonly clock: Clock
  readonly log: Log
  readonly disk?: Disk
}

/**
 * Delivers what other processes left behind, each batch under its old producer. A file is removed when
 * the store has all of it, so dying on the way costs nothing; and several takers of one file do no harm, as
 * the queue knows each batch by its producer and sequence. A file that is not complete, or not ours, stays
 * where it is and is said once. Works in the background, in pieces, and never rejects.
 */
export class HandoverRecovery {
  readonly #parts: HandoverRecoveryParts
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #log: Log
  readonly #listing: RepeatedError
  /** Watched files by path. */
  readonly #watches = new Map<string, Watch>()
  readonly #visits = new Set<Promise<void>>()
  readonly #foreignFiles: ForeignFiles
  /** More files wait to be delivered than may be at a time. */
  #isCrowded = false
  #stopRequested = false
  #running: Promise<void> = Promise.resolve()
  /** The sleep between two looks. */
  readonly #sleep: WakeableSleep

  constructor(parts: HandoverRecoveryParts) {
    this.#parts = parts
    this.#disk = parts.disk ?? systemDisk
    this.#clock = parts.clock
    this.#log = parts.log
    this.#sleep = new WakeableSleep(parts.clock)
    this.#foreignFiles = new ForeignFiles(parts)
    this.#listing = new RepeatedError(parts.log, parts.clock, 'hand-over files cannot be listed')
  }

  /** Returns for how long something has been waiting to be delivered; zero when nothing is. */
  oldestAgeMs(): number {
    const seen = [...this.#watches.values()].filter(({ leftCode }) => leftCode === null)
    return seen.length === 0 ? 0 : this.#clock.monotonicMs() - Math.min(...seen.map(each => each.seenMs))
  }

  /** Why it is not known whether something waits; null while it is. */
  get listingError(): string | null {
    return this.#listing.code
  }

  /** Files that stay where they are until somebody acts. */
  get leftCount(): number {
    return this.#left().length
  }

  /** Names these files, and why they stay. */
  notes(): string[] {
    const left = this.#left()
    const named = left.slice(0, namedMax).map(each => `${each.name} is not delivered: ${each.leftCode}`)
    const more = left.length - named.length
    if (more > 0) named.push(`${more} more files are not delivered`)
    return [...named, ...this.#foreignFiles.notes()]
  }

  /** Resolves when it has been stopped. */
  start(): Promise<void> {
    this.#running = this.#run()
    return this.#running
  }

  async stop(): Promise<void> {
    this.#stopRequested = true
    this.#sleep.wake()
    await this.#running
  }

  #left(): Watch[] {
    return [...this.#watches.values()].filter(({ leftCode }) => leftCode !== null)
  }

  async #run(): Promise<void> {
    while (!this.#stopRequested) {
      await this.#parts.binding.refresh()
      try {
        await this.#look()
        await this.#foreignFiles.look(this.#disk)
        this.#listing.over()
      } catch (error) {
        this.#listing.happened(handoverErrorOf(error))
      }
      if (!this.#stopRequested) await this.#sleep.sleep(lookIntervalMs)
    }
    await Promise.all(this.#visits)
  }

  async #look(): Promise<void> {
    const files = await listHandovers(this.#disk, this.#parts.place)
    const paths = new Set(files.map(({ path }) => path))
    for (const [path, { isVisited }] of this.#watches)
      if (!paths.has(path) && !isVisited) this.#watches.delete(path)
    const due: { file: HandoverFile; watch: Watch }[] = []
    /** Producers with an earlier file that may hold what has to come before. */
    const waiting = new Set<string>()
    for (const file of files) {
      const watch = await this.#watch(file)
      if (watch !== null && this.#isDue(watch) && !waiting.has(file.producer)) due.push({ file, watch })
      const isStuck = watch?.isVisited && this.#clock.monotonicMs() - watch.visitedMs >= patienceMs
      if (watch?.leftCode === null && !isStuck) waiting.add(file.producer)
    }
    due.sort((left, right) => left.watch.visitedMs - right.watch.visitedMs)
    const free = visitsMax - this.#visits.size
    this.#isCrowded = due.length > free
    for (const { file, watch } of due.slice(0, free)) this.#visit(file, watch)
  }

  /** Resolves to null when it is gone. */
  async #watch({ path, name }: HandoverFile): Promise<Watch | null> {
    // A file whose state cannot be read is opened nevertheless: opening it says why, and the others go on.
    const state = await this.#disk.state(path).catch(() => ({ signature: 'unknown' }))
    if (state === null) return null
    const signature = `${state.signature} ${this.#parts.binding.store}`
    const nowMs = this.#clock.monotonicMs()
    const watch = this.#watches.get(path)
    if (watch === undefined) {
      const times = { seenMs: nowMs, unchangedMs: nowMs, visitedMs: Number.NEGATIVE_INFINITY }
      const fresh = { name, signature, ...times, isVisited: false, leftCode: null }
      this.#watches.set(path, fresh)
      return fresh
    }
    if (watch.signature !== signature) Object.assign(watch, { signature, unchangedMs: nowMs })
    return watch
  }

  #isDue(watch: Watch): boolean {
    if (watch.isVisited) return false
    if (watch.leftCode === null || watch.unchangedMs > watch.visitedMs) return true
    return watch.leftCode === 'handover_unreadable' && this.#clock.monotonicMs() - watch.visitedMs >= retryMs
  }

  #visit(file: HandoverFile, watch: Watch): void {
    watch.isVisited = true
    watch.visitedMs = this.#clock.monotonicMs()
    const visit = this.#deliver(file, watch)
      .catch(error => this.#leave(file, watch, error))
      .finally(() => {
        watch.isVisited = false
        this.#visits.delete(visit)
      })
    this.#visits.add(visit)
  }

  async #deliver({ path, producer }: HandoverFile, watch: Watch): Promise<void> {
    const { binding, queue } = this.#parts
    const file = await this.#disk.open(path)
    try {
      const header = await readHeader(file)
      const store = header?.store ?? null
      const nowMs = this.#clock.monotonicMs()
      const isUnsettled = header === null && nowMs - watch.unchangedMs < settleMs
      const isUnbound = store !== null && binding.store === null && nowMs - watch.seenMs < bindingWaitMs
      if (isUnsettled || isUnbound) {
        // It is due again at the next look, whatever was wrong with it before.
        watch.leftCode = null
        return
      }
      if (store !== null && binding.store !== null && store !== binding.store)
        throw handoverError(
          'handover_foreign',
          `it is of the store ${store}, the queue is of ${binding.store}`,
        )
      const onPiece = () => {
        if (this.#stopRequested) throw handoverError('handover_incomplete', 'the process stops')
      }
      const manifest = await readManifest(file, { onPiece })
      if (manifest.producer !== producer)
        throw handoverError('handover_misnamed', `it holds batches of producer ${manifest.producer}`)
      watch.leftCode = null
      const { batchCount } = manifest
      this.#log.info({ path, batchCount }, 'taking over what another web process left')
      const isToEnd = (idleMs: number) => this.#stopRequested || (this.#isCrowded && idleMs >= patienceMs)
      const parts = { file, manifest, queue, clock: this.#clock, log: this.#log, isToEnd }
      if (await deliverFile(parts)) await this.#remove(path, manifest.signature)
    } finally {
      await file.close()
    }
  }

  /** Unless it has changed meanwhile, or is another file by now: that is for the next look. */
  async #remove(path: string, signature: string): Promise<void> {
    const state = await this.#disk.state(path)
    if (state !== null && state.signature !== signature) return
    await this.#disk.remove(path)
    this.#log.info({ path }, 'what another web process left is in the store')
    this.#sleep.wake()
  }

  #leave({ path }: HandoverFile, watch: Watch, error: unknown): void {
    if (this.#stopRequested || isNotFound(error)) return
    const { code, message, policy } = handoverErrorOf(error)
    const fields = { path, code, hint: policy.hint, reason: message }
    if (watch.leftCode !== code) this.#log.error(fields, 'a hand-over file stays where it is')
    watch.leftCode = code
  }
}
