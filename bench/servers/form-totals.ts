import Database from 'better-sqlite3'
import { type Clock, systemClock } from '../../lib/clock.ts'

const flushIntervalMs = 100

export const okBody = '{"accepted":1,"ack":"memory"}'

/**
 * The program that somebody would write on top of an HTTP framework in an afternoon: sums in a Map, written
 * to SQLite in one transaction every 100 ms. It is faster than it is exact: a crash takes increments with it,
 * and nobody knows how many.
 */
export class FormTotals {
  #sums = new Map<string, number>()

  constructor(path: string, clock: Clock = systemClock) {
    const database = new Database(path)
    database.pragma('journal_mode = WAL')
    database.pragma('synchronous = FULL')
    database.exec('CREATE TABLE numbers (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID')
    const upsert = database.prepare(
      'INSERT INTO numbers VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value',
    )
    const write = database.transaction((sums: ReadonlyMap<string, number>) => {
      for (const [key, sum] of sums) upsert.run(key, BigInt(sum))
    })
    const flush = () => {
      const sums = this.#sums
      this.#sums = new Map()
      if (sums.size > 0) write(sums)
      clock.after(flushIntervalMs, flush)
    }
    flush()
  }

  /** Returns false when it is no increment: nothing was counted then. */
  tryCount(form: string): boolean {
    const fields = new URLSearchParams(form)
    return this.tryAdd(fields.get('key'), fields.get('value'))
  }

  tryAdd(key: string | null | undefined, text: string | null | undefined): boolean {
    const value = Number(text)
    if (!key || !text || !Number.isSafeInteger(value)) return false
    this.#sums.set(key, (this.#sums.get(key) ?? 0) + value)
    return true
  }
}
