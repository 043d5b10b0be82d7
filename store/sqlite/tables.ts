import type { Batch, ReceivedBatch } from '../../batch/batch.ts'
import type { BatchOutcomes } from '../../batch/outcomes.ts'
import { type Counted, type Entered, enterBatches } from '../accounts.ts'
import { countedRanges, type GivenUpRange } from '../given-up.ts'
import { SumTable } from '../../batch/sum-rows.ts'
import { IdempotencyKeys } from './idempotency-keys.ts'
import { newIdempotencyKeysIn } from '../idempotency.ts'
import { mergeSums } from '../merge/merged-sums.ts'
import { ParkedBatches } from './parked-batches.ts'
import { type ProducerRow, Producers } from './producers.ts'
import { RejectedElements } from './rejected-elements.ts'
import { SetAside } from './set-aside.ts'
import { appliesAll, type Sequenced, sequenceBatches } from '../sequencing.ts'
import type { Database } from './sqlite.ts'
import type { CommitRequest, CommitResult, Rejected } from '../store.ts'
import { type KeysAndSums, sumOfAll, Totals } from './totals.ts'

const backwards = 'a batch whose producer would have sealed less than before'

/** A batch that is being applied, and what of it counts. */
interface Decided extends Counted {
  /** The keys and sums to add to the totals. */
  readonly parts: readonly KeysAndSums[]
  readonly outcomes: BatchOutcomes
}

interface Written {
  readonly result: CommitResult
  /** Keyed requests that asked for room for their idempotency keys, whether they found any or not. */
  readonly newIdempotencyKeyCount: number
}

/** The tables of the store, and what one transaction does to all of them. */
export class Tables {
  readonly producers: Producers
  readonly parked: ParkedBatches
  readonly idempotencyKeys: IdempotencyKeys
  readonly #totals: Totals
  readonly #rejected: RejectedElements
  readonly #setAside: SetAside

  constructor(database: Database) {
    this.producers = new Producers(database)
    this.parked = new ParkedBatches(database)
    this.idempotencyKeys = new IdempotencyKeys(database)
    this.#totals = new Totals(database)
    this.#rejected = new RejectedElements(database)
    this.#setAside = new SetAside(database)
  }

  /** Writes all of a commit, at the time `now`, in ms since the epoch. To be called within a transaction. */
  write(request: CommitRequest, now: number, idempotencyKeysMax: number): Written {
    const { batches, merged, rejected, presumedDead, askedAbout } = request
    const names = new Set([
      ...batches.map(({ producer }) => producer),
      ...presumedDead,
      ...(askedAbout ?? []),
    ])
    const producers = new Map([...names].map(producer => [producer, this.producers.row(producer)]))
    const givenUp = new Map([...names].map(producer => [producer, this.producers.givenUp(producer)]))
    const found: Rejected[] = []
    const sequenced = sequenceBatches({
      batches,
      progress: producers,
      givenUp,
      parked: this.parked.of(names),
      loadParked: id => this.parked.load(id, found),
      presumedDead,
    })
    for (const { element } of sequenced.reject) found.push({ element, reason: backwards })
    this.parked.move(sequenced, now, found)
    this.#rejected.keep([...rejected, ...found], now)
    const decided = sequenced.apply.map(batch => this.#decide(batch, now, idempotencyKeysMax))
    const isWhole = merged !== undefined && appliesAll(sequenced, batches)
    const sums = isWhole ? merged : mergeSums(SumTable.of(decided.flatMap(({ parts }) => parts)))
    const setAside = this.#totals.add(sums)
    this.#setAside.add(setAside, now)
    const entered = enterBatches(producers, givenUp, decided)
    for (const [producer, { account }] of entered) this.producers.write(producer, account, now)
    const appliedNow = new Set(sequenced.apply)
    const repeated = batches.filter(batch => isRepeated(batch, producers) && !appliedNow.has(batch))
    const result = {
      watermarks: sequenced.watermarks,
      parked: this.parked.of(names),
      applied: sequenced.apply,
      rejected: found,
      outcomes: [
        ...repeated.map(batch => this.#recall(batch)),
        ...decided.map(({ outcomes }) => outcomes).filter(({ codes }) => codes !== ''),
      ],
      duplicateCount: decided.reduce((count, { duplicate }) => count + duplicate, 0),
      rowCount: sums.ends.length - setAside.length,
      setAsideCount: setAside.length,
      lost: countsOf(entered, ({ lost }) => lost),
      recovered: countsOf(entered, ({ recovered }) => recovered),
      givenUp: this.#writeGivenUp(givenUp, sequenced.givenUp, entered),
    }
    const newIdempotencyKeyCount = decided.reduce(
      (count, { outcomes: { codes } }) => count + newIdempotencyKeysIn(codes),
      0,
    )
    return { result, newIdempotencyKeyCount }
  }

  /** Decides what of a batch is added: all but the keyed requests that were counted before. */
  #decide(batch: ReceivedBatch, now: number, keysMax: number): Decided {
    const { producer, sequence, increments, keyed } = batch
    const { codes, applied } = this.idempotencyKeys.decide(batch, now, keysMax)
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
    return { producer, sequence, codes: this.idempotencyKeys.recall(batch) }
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
      this.producers.writeGivenUp(producer, before.get(producer)!, after)
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

/** Returns the counts that are not zero. */
function countsOf(
  entered: ReadonlyMap<string, Entered<ProducerRow>>,
  count: (entered: Entered<ProducerRow>) => number,
): Map<string, number> {
  const counts = [...entered].map(([producer, each]) => [producer, count(each)] as const)
  return new Map(counts.filter(([, number]) => number > 0))
}
