import type { ProducerAccount } from '../accounts.ts'
import { type GivenUpRange, withRange } from '../given-up.ts'
import type { Database, Statement } from './sqlite.ts'
import type { Account } from '../store.ts'

export interface ProducerRow extends ProducerAccount {
  readonly first_ms: number
}

interface GivenUpRow {
  readonly producer: string
  readonly first: number
  readonly last: number
  readonly counted: number
}

/** The tables of producers and of what was given up, inside the caller's transaction. */
export class Producers {
  readonly #read: Statement
  readonly #write: Statement
  readonly #watermarks: Statement
  readonly #account: Statement
  readonly #givenUp: Statement
  readonly #allGivenUp: Statement
  readonly #giveUp: Statement
  readonly #giveUpNoLonger: Statement

  constructor(database: Database) {
    const prepare = (sql: string): Statement => database.prepare(sql)
    this.#read = prepare(
      'SELECT watermark, sealed, applied, lost, duplicate, sum, first_ms FROM producers WHERE producer = ?',
    )
    this.#write = prepare('INSERT OR REPLACE INTO producers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
    this.#watermarks = prepare('SELECT producer, watermark FROM producers')
    this.#account = prepare(
      `SELECT coalesce(sum(sealed), 0) AS sealed, coalesce(sum(applied), 0) AS applied,
        coalesce(sum(duplicate), 0) AS duplicate, coalesce(sum(lost), 0) AS lost FROM producers`,
    )
    this.#givenUp = prepare('SELECT * FROM given_up WHERE producer = ? ORDER BY first')
    this.#allGivenUp = prepare('SELECT * FROM given_up ORDER BY producer, first')
    this.#giveUp = prepare('INSERT INTO given_up VALUES (?, ?, ?, ?)')
    this.#giveUpNoLonger = prepare('DELETE FROM given_up WHERE producer = ? AND first = ?')
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

  givenUp(producer: string): GivenUpRange[] {
    return (this.#givenUp.all(producer) as GivenUpRow[]).map(rangeOf)
  }

  /** The given-up ranges of every producer that has any. */
  allGivenUp(): Map<string, GivenUpRange[]> {
    const all = new Map<string, GivenUpRange[]>()
    for (const row of this.#allGivenUp.all() as GivenUpRow[])
      all.set(row.producer, [...(all.get(row.producer) ?? []), rangeOf(row)])
    return all
  }

  /** Writes what differs. */
  writeGivenUp(producer: string, before: readonly GivenUpRange[], after: readonly GivenUpRange[]): void {
    if (before === after) return
    const [known, kept] = [new Set(before), new Set(after)]
    for (const range of before) if (!kept.has(range)) this.#giveUpNoLonger.run(producer, range.first)
    for (const range of after) {
      if (known.has(range)) continue
      this.#giveUp.run(producer, range.first, range.last, range.isCounted ? 1 : 0)
    }
  }

  /** Moves the watermark up, if it is lower, and gives up what is between. */
  giveUpTo(producer: string, watermark: number, nowMs: number): void {
    const row = this.row(producer)
    if (row.watermark >= watermark) return
    const before = this.givenUp(producer)
    const range = { first: row.watermark + 1, last: watermark }
    this.writeGivenUp(producer, before, withRange(before, range))
    this.write(producer, { ...row, watermark }, nowMs)
  }
}

function rangeOf({ first, last, counted }: GivenUpRow): GivenUpRange {
  return { first, last, isCounted: counted === 1 }
}
