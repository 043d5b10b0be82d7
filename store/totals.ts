import { addSums, type Sum } from '../queue/batch.ts'
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

/**
 * Sums of the same key over all parts, the keys in the order in which the table keeps them (nearly: by
 * UTF-16).
 */
export function mergeSums(parts: readonly KeysAndSums[]): KeySum[] {
  const merged = new Map<string, Sum>()
  for (const { keys, sums } of parts) {
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index]!
      const known = merged.get(key)
      merged.set(key, known === undefined ? sums[index]! : addSums(known, sums[index]!))
    }
  }
  return [...merged].sort(([left], [right]) => (left < right ? -1 : 1))
}

/** The sum of all values, exact. */
export function sumOfAll({ sums }: KeysAndSums): bigint {
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
   * rollback.
   */
  add(sums: readonly KeySum[]): void {
    try {
      let row = 0
      for (; row + rowsPerStatement <= sums.length; row += rowsPerStatement)
        this.#many.run(sums.slice(row, row + rowsPerStatement).flat())
      for (; row < sums.length; row++) this.#one.run(sums[row]![0], sums[row]![1])
    } catch (error) {
      if (isOverflow(error)) throw new TotalOverflow('a total would leave 64 bits', { cause: error })
      throw error
    }
  }

  /** Slower, one row at a time; answers the sums that did not fit, whose totals are unchanged. */
  addCarefully(sums: readonly KeySum[]): KeySum[] {
    return sums.filter(([key, sum]) => {
      if (sum < totalMin || sum > totalMax) return true
      return this.#oneIfItFits.run(key, sum).changes === 0
    })
  }
}

function isOverflow(error: unknown): boolean {
  const code = (error as { code?: string }).code
  // From the STRICT table, which refuses a REAL; from the driver, for a sum that is beyond 64 bits by itself.
  return (
    code === 'SQLITE_CONSTRAINT_DATATYPE' || (error instanceof RangeError && /BigInt/i.test(error.message))
  )
}
