import type { Clock } from '../../lib/clock.ts'
import type { Batch, BatchId, ReceivedBatch } from '../../batch/batch.ts'
import type { BatchOutcomes } from '../../batch/outcomes.ts'
import type { SequenceRange } from '../../batch/sequence-ranges.ts'
import { type Counted, type Entered, enterBatches } from '../accounts.ts'
import { countedRanges, type GivenUpRange } from '../given-up.ts'
import { SumTable } from '../../batch/sum-rows.ts'
import type { DatabaseFiles } from './database-files.ts'
import { IdempotencyKeys, newKeysIn } from './idempotency-keys.ts'
import { mergeSums } from '../merge/merged-sums.ts'
import { ParkedBatches } from './parked-batches.ts'
import { type ProducerRow, Producers } from './producers.ts'
import { RejectedElements } from './rejected-elements.ts'
import { SetAside } from './set-aside.ts'
import { appliesAll, type Sequenced, sequenceBatches } from '../sequencing.ts'
import { assertDurable, checkpoint, type Database, logBytes, translateErrors } from './sqlite.ts'
import type { Account, CommitRequest, CommitResult, Rejected, Store } from '../store.ts'
import { type KeysAndSums, sumOfAll, Totals } from './totals.ts'

type Files = Pick<DatabaseFiles, 'check'>
/** A database in memory has no files to check. */
const noFiles: Files = { check: () => {} }
const backwards = 'a batch whose producer would have sealed less than before'

/** A batch that is being applied, and what of it counts. */
interface Decided extends Counted {
  /** To be added to the totals. */
  readonly parts: readonly KeysAndSums[]
  readonly outcomes: BatchOutcomes
}

/** The store in a SQLite database that has our schema; see `openStore`. */
export class SqliteStore implements Store {
  readonly id: string
  readonly #database: Database
  readonly #clock: Clock
  readonly #totals: Totals
  readonly #idempotencyKeys: IdempotencyKeys
  readonly #producers: Producers
  readonly #parked: ParkedBatches
  readonly #rejected: RejectedElements
  readonly #onClose: () => void
  readonly #files: Files
  readonly #setAside: SetAside
  readonly #pageBytes: number
  #checkedDurable = false

  constructor(database: Database, clock: Clock, onClose: () => void, files: Files = noFiles) {
    this.#database = database
    this.#clock = clock
    this.#onClose = onClose
    this.#files = files
    this.#totals = new Totals(database)
    this.#idempotencyKeys = new IdempotencyKeys(database)
    this.#producers = new Producers(database)
    this.#parked = new ParkedBatches(database)
    this.#rejected = new RejectedElements(database)
    this.#setAside = new SetAside(database)
    this.#pageBytes = database.pragma('page_size', { simple: true }) as number
    this.id = (database.prepare('SELECT id FROM store').get() as { id: string }).id
  }

  check(): void {
    translateErrors(() => this.#files.check())
  }

  apply(application: CommitRequest): CommitResult {
    return translateErrors(() => {
      const applied = this.#transaction(() => this.#write(application))
      if (!this.#checkedDurable) assertDurable(this.#database)
      this.#checkedDurable = true
      return applied
    })
  }

  watermarks(): Map<string, number> {
    return translateErrors(() => this.#producers.watermarks())
  }

  givenUp(): Map<string, readonly SequenceRange[]> {
    return translateErrors(() => this.#producers.allGivenUp())
  }

  parked(): BatchId[] {
    return translateErrors(() => this.#parked.all())
  }

  account(): Account {
    return translateErrors(() => this.#producers.account())
  }

  acceptLoss(watermarks: ReadonlyMap<string, number>): void {
    const now = this.#clock.nowMs()
    this.#transaction(() => {
      for (const [producer, watermark] of watermarks) this.#producers.giveUpTo(producer, watermark, now)
    })
  }

  forgetIdempotencyKeys(beforeMs: number, countMax: number): number {
    return this.#transaction(() => this.#idempotencyKeys.forget(beforeMs, countMax))
  }

  idempotencyKeyCount(): number {
    return translateErrors(() => this.#idempotencyKeys.count)
  }

  checkpoint(what: 'copy' | 'empty'): boolean {
    return translateErrors(() => checkpoint(this.#database, what === 'copy' ? 'PASSIVE' : 'TRUNCATE') === 0)
  }

  uncopiedBytes(): number {
    return translateErrors(() => checkpoint(this.#database, 'NOOP') * this.#pageBytes)
  }

  logBytes(): number {
    return logBytes(this.#database)
  }

  close(): void {
    try {
      this.#files.check()
    } catch {
      // That saved what another database beside the log would be corrupted by.
    }
    this.#database.close()
    this.#onClose()
  }

  /** IMMEDIATE: the watermarks that are read inside are those that the writes go with. */
  #transaction<T>(work: () => T): T {
    return translateErrors(() => {
      this.#files.check()
      const result = this.#database.transaction(work).immediate()
      // What was committed to a file that has no name any more is told to nobody.
      this.#files.check()
      return result
    })
  }

  #write(application: CommitRequest): CommitResult {
    const {
      batches,
      merged,
      rejected,
      presumedDead,
      waiting,
      idempotencyKeysMax = Number.POSITIVE_INFINITY,
    } = application
    const now = this.#clock.nowMs()
    const names = new Set([...batches.map(({ producer }) => producer), ...presumedDead, ...(waiting ?? [])])
    const producers = new Map([...names].map(producer => [producer, this.#producers.row(producer)]))
    const givenUp = new Map([...names].map(producer => [producer, this.#producers.givenUp(producer)]))
    const found: Rejected[] = []
    const sequenced = sequenceBatches({
      batches,
      progress: producers,
      givenUp,
      parked: this.#parked.of(names),
      loadParked: id => this.#parked.load(id, found),
      presumedDead,
    })
    for (const { element } of sequenced.reject) found.push({ element, reason: backwards })
    this.#parked.move(sequenced, now, found)
    this.#rejected.keep([...rejected, ...found], now)
    const decided = sequenced.apply.map(batch => this.#decide(batch, now, idempotencyKeysMax))
    const isWhole = merged !== undefined && appliesAll(sequenced, batches)
    const sums = isWhole ? merged : mergeSums(SumTable.of(decided.flatMap(({ parts }) => parts)))
    const setAside = this.#totals.add(sums)
    this.#setAside.add(setAside, now)
    const entered = enterBatches(producers, givenUp, decided)
    for (const [producer, { account }] of entered) this.#producers.write(producer, account, now)
    const appliedNow = new Set(sequenced.apply)
    const repeated = batches.filter(batch => isRepeated(batch, producers) && !appliedNow.has(batch))
    return {
      watermarks: sequenced.watermarks,
      parked: this.#parked.of(names),
      applied: sequenced.apply,
      rejected: found,
      outcomes: [
        ...repeated.map(batch => this.#recall(batch)),
        ...decided.map(({ outcomes }) => outcomes).filter(({ codes }) => codes !== ''),
      ],
      duplicateCount: decided.reduce((count, { duplicate }) => count + duplicate, 0),
      newKeyCount: decided.reduce((count, { outcomes: { codes } }) => count + newKeysIn(codes), 0),
      rowCount: sums.ends.length - setAside.length,
      setAsideCount: setAside.length,
      lost: countsOf(entered, ({ lost }) => lost),
      recovered: countsOf(entered, ({ recovered }) => recovered),
      givenUp: this.#writeGivenUp(givenUp, sequenced.givenUp, entered),
    }
  }

  /** What of a batch is to be added: all but the keyed requests that were counted before. */
  #decide(batch: ReceivedBatch, now: number, keysMax: number): Decided {
    const { producer, sequence, increments, keyed } = batch
    const { codes, applied } = this.#idempotencyKeys.decide(batch, now, keysMax)
    const all = keyed.reduce((count, request) => count + request.increments, 0)
    const counted = applied.reduce((count, request) => count + request.increments, 0)
    const duplicate = all - counted
    const parts = [batch, ...applied]
    return {
      batch,
      parts,
      sum: parts.reduce((sum, part) => sum + sumOfAll(part), 0n),
      outcomes: { producer, sequence, codes },
      applied: increments - duplicate,
      duplicate,
    }
  }

  #recall(batch: Batch): BatchOutcomes {
    const { producer, sequence } = batch
    return { producer, sequence, codes: this.#idempotencyKeys.recall(batch) }
  }

  /** Returns what is given up now, of every producer that has any. */
  #writeGivenUp(
    before: ReadonlyMap<string, readonly GivenUpRange[]>,
    sequenced: Sequenced['givenUp'],
    entered: ReadonlyMap<string, Entered<ProducerRow>>,
  ): Map<string, readonly GivenUpRange[]> {
    const givenUp = new Map<string, readonly GivenUpRange[]>()
    for (const [producer, ranges] of sequenced) {
      const after = entered.get(producer)?.hasAdvanced ? countedRanges(ranges) : ranges
      this.#producers.writeGivenUp(producer, before.get(producer)!, after)
      if (after.length > 0) givenUp.set(producer, after)
    }
    return givenUp
  }
}

/** A batch with keyed requests that was applied by an earlier transaction. */
function isRepeated(
  { producer, sequence, keyed }: Batch,
  producers: ReadonlyMap<string, ProducerRow>,
): boolean {
  return keyed.length > 0 && sequence <= producers.get(producer)!.watermark
}

/** Those that are not zero. */
function countsOf(
  entered: ReadonlyMap<string, Entered<ProducerRow>>,
  count: (entered: Entered<ProducerRow>) => number,
): Map<string, number> {
  const counts = [...entered].map(([producer, each]) => [producer, count(each)] as const)
  return new Map(counts.filter(([, number]) => number > 0))
}
