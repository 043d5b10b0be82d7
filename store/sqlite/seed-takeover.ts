import type { Clock } from '../../lib/clock.ts'
import { defineDecimals } from './decimals.ts'
import { overflowReason } from './migrations/3-bounded-tables.ts'
import type { Database } from './sqlite.ts'

export interface TakenOver {
  readonly totalCount: number
  /** Rows and sums of rows that no total can hold: kept in `set_aside` with the reason. */
  readonly setAsideCount: number
}

const isTotal = `typeof(key) = 'text' AND typeof(coalesce(value, 0)) = 'integer'`
/** Sums by key in two halves, as SQLite's own sum() fails beyond 64 bits: it is `high` * 2^32 + `low`. */
const halves = `
  SELECT key, high + (low >> 32) AS high, low & 0xffffffff AS low FROM (
    SELECT key, sum(coalesce(value, 0) >> 32) AS high, sum(coalesce(value, 0) & 0xffffffff) AS low
    FROM seed_numbers WHERE ${isTotal} GROUP BY key COLLATE BINARY)`
const fits = 'high BETWEEN -0x80000000 AND 0x7fffffff'

/**
 * Moves the totals of the seed project's table, renamed to `seed_numbers`, into `numbers`, inside the
 * caller's transaction. The seed's table is not STRICT, need not have a unique key, and allows NULLs and any
 * type: the rows of a key are added up, and a missing value is zero, as its default says. What is no text key
 * or no 64-bit integer is set aside, and so is a sum that is none.
 */
export function takeOverSeedTable(database: Database, clock: Clock): TakenOver {
  const now = clock.nowMs()
  defineDecimals(database)
  const totalCount = database
    .prepare(`INSERT INTO numbers (key, value) SELECT key, (high << 32) | low FROM (${halves}) WHERE ${fits}`)
    .run().changes
  const overflowCount = database
    .prepare(
      `INSERT INTO set_aside (key, value, reason, set_aside_ms)
       SELECT key, sum_of_decimals(CAST(coalesce(value, 0) AS TEXT)), 'taken over: ${overflowReason}', ?
       FROM seed_numbers
       WHERE ${isTotal} AND key COLLATE BINARY IN (SELECT key FROM (${halves}) WHERE NOT ${fits})
       GROUP BY key COLLATE BINARY`,
    )
    .run(now).changes
  const rowCount = database
    .prepare(
      `INSERT INTO set_aside (key, value, reason, set_aside_ms)
       SELECT coalesce(CAST(key AS TEXT), ''), coalesce(CAST(value AS TEXT), ''),
              'taken over: the key is no text or the value no 64-bit integer', ?
       FROM seed_numbers WHERE NOT (${isTotal})`,
    )
    .run(now).changes
  database
    .prepare(
      `INSERT INTO adjustments (sum, reason, adjusted_ms) VALUES (?, 'taken over from a seed database', ?)`,
    )
    .run(exactSum(database), now)
  database.exec('DROP TABLE seed_numbers')
  return { totalCount, setAsideCount: overflowCount + rowCount }
}

/** SQLite's own sum() fails beyond 64 bits. */
function exactSum(database: Database): string {
  let sum = 0n
  const values = database.prepare('SELECT value FROM numbers').pluck().safeIntegers().iterate()
  for (const value of values as Iterable<bigint>) sum += value
  return sum.toString()
}
