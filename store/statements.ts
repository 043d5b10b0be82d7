import type { Database, Statement } from './sqlite.ts'

/** What the store says to SQLite, but for totals and idempotency keys. */
export function prepareStatements(database: Database) {
  const prepare = (sql: string): Statement => database.prepare(sql)
  return {
    producer: prepare(
      'SELECT watermark, sealed, applied, lost, duplicate, sum, first_ms FROM producers WHERE producer = ?',
    ),
    account: prepare(
      `SELECT coalesce(sum(sealed), 0) AS sealed, coalesce(sum(applied), 0) AS applied,
        coalesce(sum(duplicate), 0) AS duplicate, coalesce(sum(lost), 0) AS lost FROM producers`,
    ),
    watermarks: prepare('SELECT producer, watermark FROM producers'),
    writeProducer: prepare('INSERT OR REPLACE INTO producers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    parkedIds: prepare('SELECT producer, sequence FROM parked'),
    parkedElement: prepare('SELECT element FROM parked WHERE producer = ? AND sequence = ?'),
    park: prepare('INSERT INTO parked VALUES (?, ?, ?, ?)'),
    unpark: prepare('DELETE FROM parked WHERE producer = ? AND sequence = ?'),
    setAside: prepare('INSERT INTO set_aside (key, value, reason, set_aside_ms) VALUES (?, ?, ?, ?)'),
    adjust: prepare('INSERT INTO adjustments (sum, reason, adjusted_ms) VALUES (?, ?, ?)'),
    reject: prepare(`INSERT INTO rejected_elements (element, reason, rejected_ms) SELECT ?, ?, ?
      WHERE NOT EXISTS (SELECT 1 FROM rejected_elements WHERE element = ?)`),
  }
}
