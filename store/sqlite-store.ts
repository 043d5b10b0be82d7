import { type Batch, type BatchId, decodeBatch } from '../queue/batch.ts'
import { encodeBatch } from '../queue/batch-writer.ts'
import type { BatchOutcomes } from '../queue/queue.ts'
import type { Clock } from '../lib/clock.ts'
import { appliesAll, type Progress, type Sequenced, sequenceBatches } from './sequencing.ts'
import { assertDurable, checkpoint, type Database, logBytes, translateErrors } from './sqlite.ts'
import type { Account, Application, Applied, Store } from './store.ts'
import { IdempotencyKeys } from './idempotency.ts'
import { prepareStatements } from './statements.ts'
import { type MergedSums, mergeSums } from './merged-sums.ts'
import { SumTable } from '../queue/sum-table.ts'
import { type KeySum, type KeysAndSums, sumOfAll, TotalOverflow, Totals } from './totals.ts'

interface ProducerRow extends Progress {
  readonly applied: number
  readonly lost: number
  readonly duplicate: number
  readonly sum: string
  readonly first_ms: number
}

/** A batch that is being applied, and what of it counts. */
interface Decided {
  readonly batch: Batch
  /** To be added to the totals. */
  readonly parts: readonly KeysAndSums[]
  readonly outcomes: BatchOutcomes
  /** Increments in `parts`. */
  readonly applied: number
  /** Increments of the other keyed requests. */
  readonly duplicate: number
}

/** The store in a SQLite database that has our schema; see `openStore`. */
export class SqliteStore implements Store {
  readonly id: string
  readonly #database: Database
  readonly #clock: Clock
  readonly #totals: Totals
  readonly #idempotencyKeys: IdempotencyKeys
  readonly #onClose: () => void
  readonly #statements: ReturnType<typeof prepareStatements>
  readonly #pageBytes: number
  #checkedDurable = false

  constructor(database: Database, clock: Clock, onClose: () => void) {
    this.#database = database
    this.#clock = clock
    this.#onClose = onClose
    this.#totals = new Totals(database)
    this.#idempotencyKeys = new IdempotencyKeys(database)
    this.#statements = prepareStatements(database)
    this.#pageBytes = database.pragma('page_size', { simple: true }) as number
    this.id = (database.prepare('SELECT id FROM store').get() as { id: string }).id
  }

  apply(application: Application): Applied {
    return translateErrors(() => {
      const applied = this.#applyOrRollBack(application)
      if (!this.#checkedDurable) assertDurable(this.#database)
      this.#checkedDurable = true
      return applied
    })
  }

  watermarks(): Map<string, number> {
    const rows = translateErrors(() => this.#statements.watermarks.all()) as {
      producer: string
      watermark: number
    }[]
    return new Map(rows.map(row => [row.producer, row.watermark]))
  }

  parked(): BatchId[] {
    return translateErrors(() => this.#statements.parkedIds.all()) as BatchId[]
  }

  account(): Account {
    return translateErrors(() => this.#statements.account.get()) as Account
  }

  acceptLoss(watermarks: ReadonlyMap<string, number>): void {
    this.#transaction(() => {
      for (const [producer, watermark] of watermarks) {
        const row = this.#producer(producer)
        if (row.watermark < watermark) this.#writeProducer(producer, { ...row, watermark })
      }
    })
  }

  forgetIdempotencyKeys(beforeMs: number, countMax: number): number {
    return this.#transaction(() => this.#idempotencyKeys.forget(beforeMs, countMax))
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
    this.#database.close()
    this.#onClose()
  }

  #applyOrRollBack(application: Application): Applied {
    const addAll = (sums: MergedSums) => {
      this.#totals.add(sums, application.pause)
      return []
    }
    try {
      return this.#transaction(() => this.#write(application, addAll))
    } catch (error) {
      if (!(error instanceof TotalOverflow)) throw error
      return this.#transaction(() => this.#write(application, sums => this.#totals.addCarefully(sums)))
    }
  }

  /** IMMEDIATE: the watermarks that are read inside are those that the writes go with. */
  #transaction<T>(work: () => T): T {
    return translateErrors(() => this.#database.transaction(work).immediate())
  }

  /** `add` adds sums to totals and answers those that do not fit. */
  #write(
    { batches, merged, rejected, gone }: Application,
    add: (sums: MergedSums) => readonly KeySum[],
  ): Applied {
    const now = this.#clock.nowMs()
    const parkedBefore = this.#statements.parkedIds.all() as BatchId[]
    const producers = new Map(
      [...batches, ...parkedBefore].map(({ producer }) => [producer, this.#producer(producer)]),
    )
    const sequenced = sequenceBatches({
      batches,
      progress: producers,
      parked: parkedBefore,
      loadParked: id => decodeBatch(this.#element(id)),
      gone,
    })
    for (const { element, reason } of rejected) this.#statements.reject.run(element, reason, now, element)
    this.#movePark(sequenced, now)
    const decided = sequenced.apply.map(batch => this.#decide(batch, now))
    const isWhole = merged !== undefined && appliesAll(sequenced, batches)
    const sums = isWhole ? merged : mergeSums(SumTable.of(decided.flatMap(({ parts }) => parts)))
    const setAside = add(sums)
    for (const [key, sum] of setAside) this.#setAside(key, sum, now)
    const lost = this.#writeProgress(producers, decided, now)
    return {
      watermarks: sequenced.watermarks,
      parked: this.#statements.parkedIds.all() as BatchId[],
      applied: sequenced.apply,
      outcomes: [
        ...batches.filter(batch => isRepeated(batch, producers)).map(batch => this.#recall(batch)),
        ...decided.map(({ outcomes }) => outcomes).filter(({ letters }) => letters !== ''),
      ],
      duplicateCount: decided.reduce((count, { duplicate }) => count + duplicate, 0),
      rowCount: sums.ends.length - setAside.length,
      setAsideCount: setAside.length,
      lost,
    }
  }

  /** What of a batch is to be added: all but the keyed requests that were counted before. */
  #decide(batch: Batch, now: number): Decided {
    const { producer, sequence, increments, keyed } = batch
    const { letters, applied } = this.#idempotencyKeys.decide(batch, now)
    const all = keyed.reduce((count, request) => count + request.increments, 0)
    const counted = applied.reduce((count, request) => count + request.increments, 0)
    const duplicate = all - counted
    return {
      batch,
      parts: [batch, ...applied],
      outcomes: { producer, sequence, letters },
      applied: increments - duplicate,
      duplicate,
    }
  }

  #recall(batch: Batch): BatchOutcomes {
    const { producer, sequence } = batch
    return { producer, sequence, letters: this.#idempotencyKeys.recall(batch) }
  }

  #movePark({ park, unpark }: Sequenced, now: number): void {
    for (const batch of park)
      this.#statements.park.run(batch.producer, batch.sequence, encodeBatch(batch), now)
    for (const { producer, sequence } of unpark) this.#statements.unpark.run(producer, sequence)
  }

  #setAside(key: string, sum: number | bigint, now: number): void {
    this.#statements.setAside.run(key, String(sum), 'the total would leave 64 bits', now)
    const adjustment = (-BigInt(sum)).toString()
    this.#statements.adjust.run(adjustment, `set aside: ${key}`, now)
  }

  #writeProgress(producers: ReadonlyMap<string, ProducerRow>, decided: readonly Decided[], now: number) {
    const rows = new Map<string, ProducerRow>()
    const lost = new Map<string, number>()
    for (const { batch, parts, applied, duplicate } of decided) {
      const row = rows.get(batch.producer) ?? producers.get(batch.producer)!
      const missing = Math.max(0, batch.sealed - batch.increments - row.sealed)
      if (missing > 0) lost.set(batch.producer, (lost.get(batch.producer) ?? 0) + missing)
      rows.set(batch.producer, {
        watermark: batch.sequence,
        sealed: batch.sealed,
        applied: row.applied + applied,
        duplicate: row.duplicate + duplicate,
        lost: row.lost + missing,
        sum: parts.reduce((sum, part) => sum + sumOfAll(part), BigInt(row.sum)).toString(),
        first_ms: row.first_ms || now,
      })
    }
    for (const [producer, row] of rows) this.#writeProducer(producer, row)
    return lost
  }

  #writeProducer(producer: string, row: ProducerRow): void {
    const { watermark, sealed, applied, lost, duplicate, sum, first_ms } = row
    const now = this.#clock.nowMs()
    const firstMs = first_ms || now
    const values = [watermark, sealed, applied, lost, sum, firstMs, now, duplicate]
    this.#statements.writeProducer.run(producer, ...values)
  }

  #producer(producer: string): ProducerRow {
    const row = this.#statements.producer.get(producer) as ProducerRow | undefined
    return row ?? { watermark: 0, sealed: 0, applied: 0, lost: 0, duplicate: 0, sum: '0', first_ms: 0 }
  }

  #element({ producer, sequence }: BatchId): string {
    return (this.#statements.parkedElement.get(producer, sequence) as { element: string }).element
  }
}

/** A batch with keyed requests that was applied by an earlier transaction. */
function isRepeated(
  { producer, sequence, keyed }: Batch,
  producers: ReadonlyMap<string, ProducerRow>,
): boolean {
  return keyed.length > 0 && sequence <= producers.get(producer)!.watermark
}
