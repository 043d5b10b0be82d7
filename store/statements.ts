import type { Database, Statement } from './sqlite.ts'

/** What the store says to SQLite, but for what has a file of its own. */
export function prepareStatements(database: Database) {
  const prepare = (sql: string): Statement => database.prepare(sql)
  return {
    producer: prepare(
      'SELECT watermark, sealed, applied, lost, duplicate, sum, first_ms FROM producers WHERE producer = ?',
    ),
    account: prepare(
      // Not sum(), which fails beyond 64 bits.
      `SELECT total(sealed) AS sealed, total(applied) AS applied, total(duplicate) AS duplicate,
        total(lost) AS lost FROM producers`,
    ),
    watermarks: prepare('SELECT producer, watermark FROM producers'),
    writeProducer: prepare('INSERT OR REPLACE INTO producers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    setAside: prepare('INSERT INTO set_aside (key, value, reason, set_aside_ms) VALUES (?, ?, ?, ?)'),
    adjust: prepare('INSERT INTO adjustments (sum, reason, adjusted_ms) VALUES (?, ?, ?)'),
  }
}
