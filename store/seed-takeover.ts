import type { Clock } from '../lib/clock.ts'
import type { Database } from './sqlite.ts'

export interface TakenOver {
  readonly totalCount: number
  /** Rows that no total can hold: kept in `set_aside` with the reason. */
  readonly setAsideCount: number
}

const isTotal = `typeof(key) = 'text' AND typeof(coalesce(value, 0)) = 'integer'`

/**
 * Moves the totals of the seed project's table, renamed to `seed_numbers`, into `numbers`, inside the
 * caller's transaction. The seed's table is not STRICT and allows NULLs and any type: a missing value is
 * zero, as its default says; what is no text key or no 64-bit integer is set aside.
 */
export function takeOverSeedTable(database: Database, clock: Clock): TakenOver {
  const now = clock.nowMs()
  const totalCount = database
    .prepare(
      `INSERT INTO numbers (key, value)
       SELECT key, coalesce(value, 0) FROM seed_numbers WHERE ${isTotal}
       ON CONFLICT (key) DO UPDATE SET value = value + excluded.value`,
    )
    .run().changes
  const setAsideCount = database
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
  return { totalCount, setAsideCount }
}

/** SQLite's own sum() fails beyond 64 bits. */
function exactSum(database: Database): string {
  let sum = 0n
  const values = database.prepare('SELECT value FROM numbers').pluck().safeIntegers().iterate()
  for (const value of values as Iterable<bigint>) sum += value
  return sum.toString()
}
