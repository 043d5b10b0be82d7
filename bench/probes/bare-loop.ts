import Sqlite from 'better-sqlite3'

/** One row of the table: what a key gains. */
export type Row = readonly [key: string, gain: number]

/** Rows a statement; 100 to 1,000 could not be told apart, fewer and more were slower. */
const rowsPerStatement = 100
const upsert = 'ON CONFLICT (key) DO UPDATE SET value = value + excluded.value'

/**
 * SQLite and nothing else: transactions of multi-row upserts on the same file format and with the same
 * settings as ours. The limit for whatever keeps totals in SQLite by way of better-sqlite3.
 */
export class BareLoop {
  readonly #database: Sqlite.Database
  readonly #many: Sqlite.Statement
  readonly #one: Sqlite.Statement

  constructor(path: string, pragmas: readonly string[]) {
    this.#database = new Sqlite(path)
    for (const pragma of ['journal_mode = WAL', 'synchronous = FULL', ...pragmas])
      this.#database.pragma(pragma)
    const rows = Array(rowsPerStatement).fill('(?, ?)').join(', ')
    this.#many = this.#database.prepare(`INSERT INTO numbers (key, value) VALUES ${rows} ${upsert}`)
    this.#one = this.#database.prepare(`INSERT INTO numbers (key, value) VALUES (?, ?) ${upsert}`)
  }

  /** Commits the rows durably in one transaction; returns how long it took, in milliseconds. */
  commit(rows: readonly Row[]): number {
    const startedNs = process.hrtime.bigint()
    this.#database.exec('BEGIN IMMEDIATE')
    const values: (string | number)[] = Array(2 * rowsPerStatement)
    let row = 0
    for (; row + rowsPerStatement <= rows.length; row += rowsPerStatement) {
      for (let index = 0; index < rowsPerStatement; index++) {
        const [key, gain] = rows[row + index]!
        values[2 * index] = key
        values[2 * index + 1] = gain
      }
      this.#many.run(values)
    }
    for (; row < rows.length; row++) this.#one.run(rows[row]![0], rows[row]![1])
    this.#database.exec('COMMIT')
    return Number(process.hrtime.bigint() - startedNs) / 1e6
  }

  close(): void {
    this.#database.close()
  }
}

/** Gives a fresh database of ours these totals, all 1, keys in order. */
export function fill(path: string, keys: Iterable<string>): void {
  const database = new Sqlite(path)
  const insert = database.prepare('INSERT INTO numbers (key, value) VALUES (?, 1)')
  database.transaction(() => {
    for (const key of keys) insert.run(key)
  })()
  database.pragma('wal_checkpoint(TRUNCATE)')
  database.close()
}

/** Returns the number of totals and their sum; throws where the two databases differ in any total. */
export function compareTotals(path: string, otherPath: string): { keyCount: number; sum: number } {
  const database = new Sqlite(path)
  database.prepare('ATTACH ? AS other').run(otherPath)
  const differing = database
    .prepare(
      `SELECT count(*) FROM main.numbers AS ours LEFT JOIN other.numbers AS theirs USING (key)
        WHERE ours.value IS NOT theirs.value`,
    )
    .pluck()
    .get() as number
  const count = (schema: string) =>
    database.prepare(`SELECT count(*) AS keyCount, sum(value) AS sum FROM ${schema}.numbers`).get() as {
      keyCount: number
      sum: number
    }
  const [ours, theirs] = [count('main'), count('other')]
  database.close()
  if (differing > 0 || ours.keyCount !== theirs.keyCount)
    throw new Error(`${differing} totals differ, of ${ours.keyCount} and ${theirs.keyCount}`)
  return ours
}
