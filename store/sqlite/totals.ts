import type { Sum } from '../../batch/batch.ts'
import { ScannedBatch } from '../../batch/reader.ts'
import { keyAt, type MergedSums, sumAt } from '../merge/merged-sums.ts'
import type { Database, Statement } from './sqlite.ts'

export type KeySum = readonly [key: string, sum: Sum]

/** `keys[i]` gains `sums[i]`. */
export interface KeysAndSums {
  readonly keys: readonly string[]
  readonly sums: readonly Sum[]
}

const totalMin = -(2n ** 63n)
const totalMax = 2n ** 63n - 1n
/** Rows per statement: measured best on SQLite 3.54, see docs/decisions/store.md. */
const rowsPerStatement = 100

const conflict = 'ON CONFLICT (key) DO UPDATE SET value = value + excluded.value'

/** The sum of all values, exact. */
export function sumOfAll(part: KeysAndSums): bigint {
  if (part instanceof ScannedBatch) return part.sumOfSums
  const { sums } = part
  let exact = 0n
  let sum = 0
  for (const each of sums) {
    const next = typeof each === 'number' ? sum + each : Number.NaN
    if (Number.isSafeInteger(next)) {
      sum = next
    } else {
      exact += BigInt(sum) + BigInt(each)
      sum = 0
    }
  }
  return exact + BigInt(sum)
}

/** Adds sums to totals inside the caller's transaction. */
export class Totals {
  readonly #database: Database
  readonly #many: Statement
  readonly #oneIfItFits: Statement
  /** Bound to `#many`; made once. */
  readonly #values: (string | Sum)[] = Array(2 * rowsPerStatement)

  constructor(database: Database) {
    this.#database = database
    const rows = Array(rowsPerStatement).fill('(?, ?)').join(', ')
    this.#many = database.prepare(`INSERT INTO numbers (key, value) VALUES ${rows} ${conflict}`)
    // A sum beyond 64 bits turns REAL in SQLite.
    const fits = `WHERE typeof(value + excluded.value) = 'integer'`
    this.#oneIfItFits = database.prepare(`INSERT INTO numbers (key, value) VALUES (?, ?) ${conflict} ${fits}`)
  }

  /** Adds all sums whose totals stay within 64 bits; returns the others, whose totals are unchanged. */
  add(merged: MergedSums): KeySum[] {
    const count = merged.ends.length
    const unfit: KeySum[] = []
    let row = 0
    for (; row + rowsPerStatement <= count; row += rowsPerStatement)
      if (!this.#tryAddMany(merged, row)) this.#addSingly(merged, row, row + rowsPerStatement, unfit)
    this.#addSingly(merged, row, count, unfit)
    return unfit
  }

  /**
   * False when a total would leave 64 bits: no row of this statement was added then. SQLite undoes the failed
   * statement and no more; any other error may have ended the transaction, and is thrown.
   */
  #tryAddMany(merged: MergedSums, from: number): boolean {
    const values = this.#values
    for (let index = 0; index < rowsPerStatement; index++) {
      values[2 * index] = keyAt(merged, from + index)
      values[2 * index + 1] = sumAt(merged, from + index)
    }
    try {
      this.#many.run(values)
      return true
    } catch (error) {
      if (isOverflow(error) && this.#database.inTransaction) return false
      throw error
    }
  }

  #addSingly(merged: MergedSums, from: number, end: number, unfit: KeySum[]): void {
    for (let row = from; row < end; row++) {
      const [key, sum] = [keyAt(merged, row), sumAt(merged, row)]
      const isOutside = sum < totalMin || sum > totalMax
      if (isOutside || this.#oneIfItFits.run(key, sum).changes === 0) unfit.push([key, sum])
    }
  }
}

function isOverflow(error: unknown): boolean {
  const code = (error as { code?: string }).code
  // The STRICT table refuses a REAL; the driver refuses a sum that is beyond 64 bits by itself.
  return (
    code === 'SQLITE_CONSTRAINT_DATATYPE' || (error instanceof RangeError && /BigInt/i.test(error.message))
  )
}
