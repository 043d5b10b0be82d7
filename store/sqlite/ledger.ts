import { headUnitsMax, queuedBatchOf } from '../../batch/batch.ts'
import { refuseWithoutLedger } from './foreign.ts'
import { type Database, openForReading, translateErrors } from './sqlite.ts'

/** Increments of one producer, as the store has them. */
export interface ProducerLedger {
  readonly producer: string
  readonly watermark: number
  /** Up to the watermark: what the producer said that it sealed. */
  readonly sealed: number
  readonly applied: number
  /** Increments of repeated requests, not added again. */
  readonly duplicate: number
  readonly lost: number
  /** Increments in batches that wait for one before them; not in `sealed` yet. */
  readonly parked: number
}

/** One consistent view of the account that a store keeps. */
export interface Ledger {
  readonly producers: readonly ProducerLedger[]
  /** Number of totals. */
  readonly keyCount: number
  readonly sumOfTotals: bigint
  /** The sum that all producers together added. */
  readonly sumApplied: bigint
  /** The sum that no producer added: totals taken over, sums set aside. */
  readonly sumAdjusted: bigint
  readonly setAsideCount: number
  readonly rejectedCount: number
}

interface ProducerRow extends Omit<ProducerLedger, 'parked'> {
  readonly sum: string
}

/** Reads the ledger of a database beside its writer. */
export class LedgerReader {
  readonly #database: Database

  /** Throws OperationError when there is no database of ours at `path`. */
  constructor(path: string) {
    this.#database = openForReading(path, opened => refuseWithoutLedger(opened, path))
  }

  read(): Ledger {
    return translateErrors(() => this.#database.transaction(() => this.#read())())
  }

  storeId(): string {
    return translateErrors(() => this.#database.prepare('SELECT id FROM store').pluck().get() as string)
  }

  /** Lists what SQLite finds wrong with the file, at most 20 lines. Reads every page. */
  damages(): string[] {
    const findings = translateErrors(() => this.#database.pragma('integrity_check(20)')) as {
      integrity_check: string
    }[]
    return findings.map(finding => finding.integrity_check).filter(finding => finding !== 'ok')
  }

  close(): void {
    this.#database.close()
  }

  #read(): Ledger {
    const rows = this.#database.prepare('SELECT * FROM producers ORDER BY first_ms').all() as ProducerRow[]
    const parked = this.#parked()
    const known = new Set(rows.map(({ producer }) => producer))
    const unknown = [...parked.keys()].filter(producer => !known.has(producer))
    return {
      producers: [
        ...rows.map(row => ({ ...row, parked: parked.get(row.producer) ?? 0 })),
        ...unknown.map(producer => {
          const nothing = { watermark: 0, sealed: 0, applied: 0, duplicate: 0, lost: 0 }
          return { producer, ...nothing, parked: parked.get(producer)! }
        }),
      ],
      ...this.#totals(),
      sumApplied: rows.reduce((sum, row) => sum + BigInt(row.sum), 0n),
      sumAdjusted: this.#sumAdjusted(),
      setAsideCount: this.#number('SELECT count(*) FROM set_aside'),
      // Only the newest are there.
      rejectedCount: this.#number('SELECT coalesce(max(id), 0) FROM rejected_elements'),
    }
  }

  /** Increments in parked batches, by producer. */
  #parked(): Map<string, number> {
    const parked = new Map<string, number>()
    const heads = this.#database.prepare(`SELECT substr(element, 1, ${headUnitsMax}) FROM parked`).pluck()
    for (const head of heads.iterate() as Iterable<string>) {
      const batch = queuedBatchOf(head)
      if (batch !== null) parked.set(batch.producer, (parked.get(batch.producer) ?? 0) + batch.increments)
    }
    return parked
  }

  /** The sum may be beyond 64 bits, so the halves of each total are added by themselves. */
  #totals(): { keyCount: number; sumOfTotals: bigint } {
    const row = this.#database
      .prepare(
        `SELECT count(*) AS count, coalesce(sum(value >> 32), 0) AS high,
          coalesce(sum(value & 0xffffffff), 0) AS low FROM numbers`,
      )
      .safeIntegers()
      .get() as { count: bigint; high: bigint; low: bigint }
    return { keyCount: Number(row.count), sumOfTotals: row.high * 2n ** 32n + row.low }
  }

  #sumAdjusted(): bigint {
    const sums = this.#database.prepare('SELECT sum FROM adjustments').pluck().all() as string[]
    return sums.reduce((sum, each) => sum + BigInt(each), 0n)
  }

  #number(sql: string): number {
    return this.#database.prepare(sql).pluck().get() as number
  }
}
