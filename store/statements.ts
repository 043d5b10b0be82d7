import type { Database, Statement } from './sqlite.ts'

/** What the store says to SQLite, but for what has a file of its own. */
export function prepareStatements(database: Database) {
  const prepare = (sql: string): Statement => database.prepare(sql)
  return {
    setAside: prepare('INSERT INTO set_aside (key, value, reason, set_aside_ms) VALUES (?, ?, ?, ?)'),
    adjust: prepare('INSERT INTO adjustments (sum, reason, adjusted_ms) VALUES (?, ?, ?)'),
  }
}
