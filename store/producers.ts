import type { Progress } from './sequencing.ts'
import type { Database, Statement } from './sqlite.ts'
import type { Account } from './store.ts'

export interface ProducerRow extends Progress {
  readonly applied: number
  readonly lost: number
  readonly duplicate: number
  readonly sum: string
  readonly first_ms: number
}

/** What the database knows of each producer, inside the caller's transaction. */
export class Producers {
  readonly #read: Statement
  readonly #write: Statement
  readonly #watermarks: Statement
  readonly #account: Statement

  constructor(database: Database) {
    const prepare = (sql: string): Statement => database.prepare(sql)
    this.#read = prepare(
      'SELECT watermark, sealed, applied, lost, duplicate, sum, first_ms FROM producers WHERE producer = ?',
    )
    this.#write = prepare('INSERT OR REPLACE INTO producers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
    this.#watermarks = prepare('SELECT producer, watermark FROM producers')
    this.#account = prepare(
      // Not sum(), which fails beyond 64 bits.
      `SELECT total(sealed) AS sealed, total(applied) AS applied, total(duplicate) AS duplicate,
        total(lost) AS lost FROM producers`,
    )
  }

  row(producer: string): ProducerRow {
    const row = this.#read.get(producer) as ProducerRow | undefined
    return row ?? { watermark: 0, sealed: 0, applied: 0, lost: 0, duplicate: 0, sum: '0', first_ms: 0 }
  }

  write(producer: string, row: ProducerRow, nowMs: number): void {
    const { watermark, sealed, applied, lost, duplicate, sum, first_ms } = row
    const firstMs = first_ms || nowMs
    this.#write.run(producer, watermark, sealed, applied, lost, sum, firstMs, nowMs, duplicate)
  }

  watermarks(): Map<string, number> {
    const rows = this.#watermarks.all() as { producer: string; watermark: number }[]
    return new Map(rows.map(({ producer, watermark }) => [producer, watermark]))
  }

  account(): Account {
    return this.#account.get() as Account
  }
}
