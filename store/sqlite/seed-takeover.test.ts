import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { Folder } from '../../test/kit/service.ts'
import { openSqliteStore } from './open.ts'

let folder: Folder
let lines: string[]

beforeEach(() => {
  folder = new Folder()
  lines = []
})
afterEach(() => folder[Symbol.dispose]())

function takeOver(): void {
  const log = pino({}, { write: line => lines.push(line) })
  void openSqliteStore(folder.database, { clock: systemClock, log }).close()
}
const [most, least] = [2n ** 63n - 1n, -(2n ** 63n)]
const row = (key: string, value: bigint | number) => `('${key}', ${value === least ? `-${most} - 1` : value})`

test('the rows of a key are added up exactly, and set aside only where their sum does not fit', () => {
  const rows = [
    ...[row('over', most), row('over', 1)],
    ...[row('through', most), row('through', 5), row('through', -5)],
    ...[row('back', least), row('back', least), row('back', most), row('back', most)],
    ...[row('under', least), row('under', -1), row('under', 0)],
    ...[row('most', most - 1n), row('most', 1), row('least', least + 1n), row('least', -1)],
    ...[row('Case', most), row('case', most), row('once', 7)],
    `('none', NULL), ('none', NULL), ('mixed', 1.5), ('mixed', 2), ('mixed', 3)`,
  ]
  folder.sql(`CREATE TABLE numbers (key TEXT COLLATE NOCASE, value INTEGER DEFAULT 0);
    INSERT INTO numbers VALUES ${rows.join(', ')}`)
  takeOver()
  const totals = { through: most, back: -2, most, least, Case: most, case: most, once: 7, none: 0, mixed: 5 }
  expect(folder.totals()).toEqual(new Map(Object.entries(totals).map(([key, value]) => [key, String(value)])))
  expect(folder.sql('SELECT key, value, reason FROM set_aside ORDER BY key')).toBe(
    [
      'mixed|1.5|taken over: the key is no text or the value no 64-bit integer',
      `over|${most + 1n}|taken over: the total would leave 64 bits`,
      `under|${least - 1n}|taken over: the total would leave 64 bits`,
    ].join('\n'),
  )
  const sum = Object.values(totals).reduce<bigint>((all, each) => all + BigInt(each), 0n)
  expect(folder.sql('SELECT sum FROM adjustments')).toBe(String(sum))
  expect(lines.map(line => JSON.parse(line))).toMatchObject([
    { level: 40, totalCount: 9, setAsideCount: 3, msg: expect.stringContaining('set_aside') },
  ])
})

test('a table of that name that has other columns is another program’s, and stays as it is', () => {
  folder.sql('CREATE TABLE numbers (n INTEGER, value INTEGER); INSERT INTO numbers VALUES (1, 2)')
  expect(takeOver).toThrow(expect.objectContaining({ code: 'store_unknown' }))
  expect(folder.sql('SELECT * FROM numbers')).toBe('1|2')
})
