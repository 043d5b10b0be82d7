import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type Batch, decodeBatch } from '../../batch/batch.ts'
import { listHandovers } from '../../intake/handover/handover-files.ts'
import type { Push } from '../../queue/queue.ts'
import type { ServiceClients } from './service-clients.ts'
import { promptDisk } from './prompt-disk.ts'
import type { Shard } from './shard.ts'
import type { SimulatedDisk } from './simulated-disk.ts'
import type { WebProcess } from './web-process.ts'

/** A web process that ended, and what it did not know then to be in the store. */
interface Ended {
  readonly web: WebProcess
  readonly firstUnconfirmed: number
}

/**
 * Says what a simulated service owes its clients. An increment that was accepted counts, unless it was
 * nowhere but in the memory of a process when that died: not in the queue, the store, or a hand-over file. So
 * after each death, and each loss of the queue, somebody has to look where everything is: `takeStock`.
 */
export class ServiceJudge {
  readonly #disk: SimulatedDisk
  readonly #shard: Shard
  readonly #clients: ServiceClients
  readonly #database: string
  readonly #webs: ReadonlySet<WebProcess>
  readonly #ended: Ended[] = []
  /** Every batch that was ever sent, by producer and sequence. */
  readonly #sent = new Map<string, Map<number, Batch>>()
  /** Keys in hand-over files, or in the hands of an operator. */
  readonly #leftBehind = new Set<string>()
  readonly #excused = new Set<string>()
  /** Producers whose hand-over file will never be whole, and where it lies. */
  readonly #cutOff = new Map<string, string>()

  constructor(parts: {
    disk: SimulatedDisk
    shard: Shard
    clients: ServiceClients
    database: string
    webs: ReadonlySet<WebProcess>
  }) {
    this.#disk = parts.disk
    this.#shard = parts.shard
    this.#clients = parts.clients
    this.#database = parts.database
    this.#webs = parts.webs
  }

  pushed({ producer, sequence, element }: Push): void {
    const sent = this.#sent.get(producer) ?? new Map<number, Batch>()
    this.#sent.set(producer, sent.set(sequence, decodeBatch(element)))
  }

  /** Resolves to those of its increments that died with it. */
  died(web: WebProcess): Promise<string[]> {
    this.#ended.push({ web, firstUnconfirmed: web.firstUnconfirmed })
    return this.takeStock()
  }

  /** It stopped in order and wrote `left` down. Null, or what it said wrongly. */
  async stopped(web: WebProcess, left: readonly string[]): Promise<string | null> {
    for (const key of left) this.#leftBehind.add(key)
    const isOwed = (key: string) => web.acceptedMs.has(key) && !this.#shard.vanished.has(key)
    const lost = (await this.died(web)).find(isOwed)
    // It could not know what happened to the queue after its last answer.
    if (lost === undefined || web.harmCountHeard < this.#shard.harmCount) return null
    return `${lost} is nowhere although web ${web.id} stopped in order`
  }

  /** The operator will never have more than a part of that file. */
  cutOff(web: WebProcess, keys: readonly string[], path: string): void {
    this.#cutOff.set(web.id, path)
    this.excuse(keys)
  }

  excuse(keys: readonly string[]): void {
    for (const key of keys) this.#excused.add(key)
  }

  /** Excuses what is nowhere any more; resolves to that. */
  async takeStock(): Promise<string[]> {
    const queued = await this.#shard.keys()
    const parked = this.#disk.parkedKeys()
    const isSomewhere = (key: string) =>
      queued.has(key) || parked.has(key) || this.#leftBehind.has(key) || this.#disk.countOf(key) > 0
    const accepted = this.#ended.flatMap(({ web }) => web.accepted)
    const lost = accepted.filter(key => !this.#excused.has(key) && !isSomewhere(key))
    this.excuse(lost)
    return lost
  }

  /** Resolves to null when everything has arrived. */
  async whatIsLeft(): Promise<string | null> {
    for (const web of this.#webs) if (!web.holdsNothing) return `web ${web.id} still holds something`
    const queued = await this.#shard.execute(queue => queue.length())
    if (queued > 0) return `${queued} batches are left in the queue`
    const parked = this.#disk.parkedProducers().filter(producer => !this.#cutOff.has(producer))
    if (parked.length > 0) return `something of ${parked} is parked for ever`
    const place = { database: this.#database, stateDir: null }
    const found = await listHandovers(promptDisk, place)
    const files = found.filter(({ producer }) => !this.#cutOff.has(producer))
    return files.length > 0 ? `what ${files[0]!.producer} left is never delivered` : null
  }

  /** Returns null when every increment and every answer had the fate that was promised. */
  fates(): string | null {
    if (this.#disk.number('SELECT count(*) FROM numbers WHERE value <> 1') > 0)
      return 'something was counted twice'
    const isMissing = (key: string) => !this.#excused.has(key) && this.#disk.countOf(key) !== 1
    for (const web of [...this.#webs, ...this.#ended.map(({ web }) => web)]) {
      const missing = web.accepted.find(isMissing)
      if (missing !== undefined) return `${missing} of web ${web.id} is missing`
    }
    for (const { web, firstUnconfirmed } of this.#ended) {
      for (const [sequence, { keys }] of this.#sent.get(web.id) ?? []) {
        const missing = keys.find(key => this.#disk.countOf(key) !== 1 && !this.#disk.isUndone(key))
        if (sequence < firstUnconfirmed && missing !== undefined)
          return `${missing} was confirmed and is missing`
      }
    }
    // It may have been brought beside the database meanwhile.
    for (const [producer, path] of this.#cutOff)
      if (!existsSync(path) && !existsSync(join(dirname(this.#database), basename(path))))
        return `the file of ${producer} that was cut off was deleted`
    return this.#clients.verdict()
  }

  /** Returns null when the ledger adds up. */
  ledger(mayLoseQueue: boolean): string | null {
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
    if (lost > 0 && !mayLoseQueue) return `${lost} were lost although the queue lost nothing`
    const missing = this.#givenUp().reduce((total, { increments }) => total + increments, 0)
    return lost === missing ? null : `${lost} were lost, and what is given up held ${missing}`
  }

  /** Batches that were given up and did not arrive. */
  #givenUp(): Batch[] {
    const batches = [...this.#sent.values()].flatMap(sent => [...sent.values()])
    return batches.filter(({ producer, sequence }) => this.#disk.isGivenUp(producer, sequence))
  }

  /** Returns null when what the queue had of each producer is applied, or known to be lost. */
  lastBatches(): string | null {
    for (const [producer, sealed] of this.#shard.sealedOf) {
      const known = this.#disk.sealedOf(producer)
      if (known < sealed) return `${sealed - known} increments of ${producer} vanished in silence`
    }
    return null
  }
}
