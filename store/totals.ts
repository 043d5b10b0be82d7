import type { Sum } from '../queue/batch.ts'
import { ScannedBatch } from '../queue/element-scanner.ts'
import { keyAt, type MergedSums, sumAt } from './merged-sums.ts'
import type { Database, Statement } from './sqlite.ts'

export type KeySum = readonly [key: string, sum: Sum]

/** `keys[i]` gains `sums[i]`. */
export interface KeysAndSums {
  readonly keys: readonly string[]
  readonly sums: readonly Sum[]
}

const totalMin = -(2n ** 63n)
const totalMax = 2n ** 63n - 1n
/** Rows a statement: measured best on SQLite 3.54, see docs/decisions.md. */
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

/** A total would leave 64 bits. The transaction has to be rolled back and done again by `addCarefully`. */
export class TotalOverflow extends Error {
  override name = 'TotalOverflow'
}

/** Adds sums to totals inside the caller's transaction. */
export class Totals {
  readonly #many: Statement
  readonly #one: Statement
  readonly #oneIfItFits: Statement
  /** Bound to `#many`; made once. */
  readonly #values: (string | Sum)[] = Array(2 * rowsPerStatement)

  constructor(database: Database) {
    const rows = Array(rowsPerStatement).fill('(?, ?)').join(', ')
    this.#many = database.prepare(`INSERT INTO numbers (key, value) VALUES ${rows} ${conflict}`)
    this.#one = database.prepare(`INSERT INTO numbers (key, value) VALUES (?, ?) ${conflict}`)
    // A sum beyond 64 bits turns REAL in SQLite.
    const fits = `WHERE typeof(value + excluded.value) = 'integer'`
    this.#oneIfItFits = database.prepare(`INSERT INTO numbers (key, value) VALUES (?, ?) ${conflict} ${fits}`)
  }

  /**
   * Throws TotalOverflow if any total would leave 64 bits; the transaction is then good for nothing but a
   * rollback. `pause` is called between statements.
   */
  add(merged: MergedSums, pause?: () => void): void {
    const count = merged.ends.length
    const values = this.#values
    try {
      let row = 0
      for (; row + rowsPerStatement <= count; row += rowsPerStatement) {
        for (let index = 0; index < rowsPerStatement; index++) {
          values[2 * index] = keyAt(merged, row + index)
          values[2 * index + 1] = sumAt(merged, row + index)
        }
        this.#many.run(values)
        pause?.()
      }
      for (; row < count; row++) this.#one.run(keyAt(merged, row), sumAt(merged, row))
    } catch (error) {
      if (isOverflow(error)) throw new TotalOverflow('a total would leave 64 bits', { cause: error })
      throw error
    }
  }

  /** Slower, one row at a time; answers the sums that did not fit, whose totals are unchanged. */
  addCarefully(merged: MergedSums): KeySum[] {
    const unfit: KeySum[] = []
    for (let row = 0; row < merged.ends.length; row++) {
      const [key, sum] = [keyAt(merged, row), sumAt(merged, row)]
      const isOutside = sum < totalMin || sum > totalMax
      if (isOutside || this.#oneIfItFits.run(key, sum).changes === 0) unfit.push([key, sum])
    }
    return unfit
  }
}

function isOverflow(error: unknown): boolean {
  const code = (error as { code?: string }).code
  // From the STRICT table, which refuses a REAL; from the driver, for a sum that is beyond 64 bits by itself.
  return (
    code === 'SQLITE_CONSTRAINT_DATATYPE' || (error instanceof RangeError && /BigInt/i.test(error.message))
  )
}
