import type { Database } from './sqlite.ts'

/**
 * Teaches SQLite to add decimals of any size that are kept as text: `add_decimals(left, right)`, and the
 * aggregate `sum_of_decimals(each)`. They belong to this connection, and nothing in the file needs them.
 */
export function defineDecimals(database: Database): void {
  const add = (left: string, right: string) => String(BigInt(left) + BigInt(right))
  database.function('add_decimals', { deterministic: true }, add)
  database.aggregate('sum_of_decimals', { deterministic: true, start: '0', step: add })
}
