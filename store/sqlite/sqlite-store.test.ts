import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { OperationError } from '../../lib/errors.ts'
import { decodeBatch, type KeyedRequest, type ReceivedBatch } from '../../batch/batch.ts'
import { encodeBatch } from '../../batch/writer.ts'
import { parkedPerProducerMax, rejectedBytesKept, rejectedMax } from '../limits.ts'
import { batch, keyedRequest, producerId } from '../../test/kit/builders.ts'
import { contractOptions, storeContract } from '../../test/kit/store-contract.ts'
import { openSqliteStore, openSqliteReader } from './open.ts'
import { schemaVersion } from './schema.ts'
import type { SqliteStore } from './sqlite-store.ts'
import type { CommitResult } from '../store.ts'

const log = pino({ level: 'silent' })
let folder: string
let path: string
const stores: SqliteStore[] = []
/** Takes away what version 3 added to a database. */
const toVersion2 = `
  DROP INDEX rejected_elements_by_digest; ALTER TABLE rejected_elements DROP COLUMN bytes;
  ALTER TABLE rejected_elements DROP COLUMN digest;
  DROP INDEX set_aside_by_key; DROP INDEX adjustments_by_running_reason; DROP TABLE given_up;
  DROP TABLE idempotency_key_count; DROP TABLE refused_requests;
  PRAGMA user_version = 2;`

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'piccolo-store-'))
  path = join(folder, 'numbers.db')
})
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close()
  rmSync(folder, { recursive: true })
})

function open(idempotencyKeysMax = Number.POSITIVE_INFINITY): SqliteStore {
  const store = openSqliteStore(path, { clock: systemClock, log, idempotencyKeysMax })
  stores.push(store)
  return store
}
function close(store: SqliteStore): Promise<void> {
  stores.splice(stores.indexOf(store), 1)
  return store.close()
}
function commit(
  store: SqliteStore,
  batches: ReceivedBatch[],
  presumedDead: number[] = [],
): Promise<CommitResult> {
  return store.commit({ batches, rejected: [], presumedDead: new Set(presumedDead.map(producerId)) })
}
function sql(statement: string): string {
  return execFileSync('sqlite3', [path, statement], { encoding: 'utf8' }).trim()
}
function code(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof OperationError) return error.code
    throw error
  }
  return 'nothing was thrown'
}

describe('the store in SQLite', () => {
  storeContract(async clock => {
    const openAgain = () => {
      const store = openSqliteStore(path, { clock, log, ...contractOptions })
      stores.push(store)
      return store
    }
    const store = openAgain()
    const reader = openSqliteReader(path)
    return {
      store,
      total: key => reader.total(key),
      reopen: async () => {
        await close(store)
        return openAgain()
      },
      dispose: () => reader.close(),
    }
  })
})

describe('requests with an idempotency key', () => {
  const [once, again, other] = [
    keyedRequest('k', 'a', 5),
    keyedRequest('k', 'a', 5),
    keyedRequest('k', 'a', 6),
  ]
  const codes = (applied: CommitResult) =>
    applied.outcomes.map(({ producer, sequence, codes }) => `${Number(producer)} ${sequence} ${codes}`)

  test('the first counts, its repetitions do not, and another request with its key is told apart', async () => {
    const store = open()
    const first = batch({ sequence: 1, sums: { a: 1 }, keyed: [once, again] })
    expect(codes(await commit(store, [first]))).toEqual(['1 1 ad'])
    const second = batch({
      producer: 2,
      sequence: 1,
      sums: {},
      keyed: [again, other, keyedRequest('l', 'b', 1)],
    })
    const applied = await commit(store, [second])
    expect(codes(applied)).toEqual(['2 1 dca'])
    expect(applied.duplicateCount).toBe(2)
    expect(sql('SELECT key, value FROM numbers ORDER BY key')).toBe('a|6\nb|1')
    expect(sql('SELECT sealed, applied, duplicate, sum FROM producers')).toBe('3|2|1|6\n3|1|2|1')
  })

  test('a batch that is read again is told what was decided before', async () => {
    const store = open()
    const first = batch({ sequence: 1, sums: {}, keyed: [once, again] })
    const second = batch({ producer: 2, sequence: 1, sums: {}, keyed: [other] })
    await commit(store, [first, second])
    expect(codes(await commit(store, [second, first]))).toEqual(['2 1 c', '1 1 ad'])
    expect(sql('SELECT key, value FROM numbers')).toBe('a|5')
  })

  test('a parked batch is decided about when it is applied, and not before', async () => {
    const store = open()
    const parked = batch({ sequence: 2, sums: {}, keyed: [once] })
    expect(codes(await commit(store, [parked]))).toEqual([])
    await commit(store, [batch({ producer: 2, sequence: 1, sums: {}, keyed: [again] })])
    expect(codes(await commit(store, [batch({ sequence: 1, sums: { b: 1 } })]))).toEqual(['1 2 d'])
    expect(sql('SELECT key, value FROM numbers ORDER BY key')).toBe('a|5\nb|1')
  })

  test('a request whose sum overflows is decided about like any other', async () => {
    const store = open()
    await commit(store, [batch({ sequence: 1, sums: { max: 2n ** 63n - 1n } })])
    const keyed = [once, keyedRequest('over', 'max', 1), again]
    const applied = await commit(store, [batch({ sequence: 2, sums: {}, keyed })])
    expect(codes(applied)).toEqual(['1 2 aad'])
    expect(applied.setAsideCount).toBe(1)
    expect(sql('SELECT key, value FROM numbers ORDER BY key')).toBe('a|5\nmax|9223372036854775807')
  })

  test('a request for whose key there is no room is not counted, and told so whenever its batch comes', async () => {
    const store = open(2)
    const keyed = ['k1', 'k2', 'k3'].map(key => keyedRequest(key, 'a', 1))
    const first = batch({ sequence: 1, sums: { a: 10 }, keyed, increments: 13 })
    const given = { batches: [first], rejected: [], presumedDead: new Set<string>() }
    const applied = await store.commit(given)
    expect(codes(applied)).toEqual(['1 1 aaf'])
    expect(codes(await commit(store, [first]))).toEqual(['1 1 aaf'])
    expect(sql('SELECT value FROM numbers')).toBe('12')
    expect(sql('SELECT sealed, applied, duplicate, sum FROM producers')).toBe('13|12|1|12')
    const second = batch({ sequence: 2, sums: {}, keyed, sealed: 16 })
    expect(codes(await store.commit({ ...given, batches: [second] }))).toEqual(['1 2 ddf'])
    expect(store.forgetIdempotencyKeys(Date.UTC(2100), 1)).toBe(1)
    expect(store.idempotencyKeyCount()).toBe(1)
    expect(
      codes(await store.commit({ ...given, batches: [batch({ sequence: 3, sums: {}, keyed, sealed: 19 })] })),
    ).toEqual(['1 3 adf'])
  })

  test('outcomes of refused requests are kept until their producer has heard them', async () => {
    const store = open(1)
    for (let sequence = 1; sequence <= 100; sequence++)
      await store.commit({
        batches: [batch({ sequence, sums: {}, keyed: [keyedRequest(`k${sequence}`, 'a', 1)] })],
        rejected: [],
        presumedDead: new Set(),
      })
    expect(sql('SELECT min(sequence), max(sequence) FROM refused_requests')).toBe('37|100')
  })

  test('keys are forgotten oldest first, so many at a time', async () => {
    const store = open()
    const keyed = ['k1', 'k2', 'k3'].map(key => keyedRequest(key, 'a', 1))
    await commit(store, [batch({ sequence: 1, sums: {}, keyed })])
    expect(store.forgetIdempotencyKeys(0, 10)).toBe(0)
    expect(store.forgetIdempotencyKeys(Date.UTC(2100), 2)).toBe(2)
    expect(store.forgetIdempotencyKeys(Date.UTC(2100), 2)).toBe(1)
    expect(codes(await commit(store, [batch({ sequence: 2, sums: {}, keyed })]))).toEqual(['1 2 aaa'])
  })
})

describe('applying batches', () => {
  test('sums of one key add up over batches and transactions', async () => {
    const store = open()
    await commit(store, [
      batch({ sequence: 1, sums: { a: 2, b: -1 } }),
      batch({ sequence: 2, sums: { a: 3 }, sealed: 3 }),
    ])
    await commit(store, [batch({ sequence: 3, sums: { a: 5, c: 0 }, sealed: 5 })])
    expect(sql('SELECT key, value FROM numbers ORDER BY key')).toBe('a|10\nb|-1\nc|0')
  })

  test('a redelivered batch changes no total', async () => {
    const store = open()
    await commit(store, [batch({ sequence: 1, sums: { a: 2 } })])
    const again = await commit(store, [batch({ sequence: 1, sums: { a: 2 } })])
    expect(sql('SELECT value FROM numbers')).toBe('2')
    expect(again.watermarks).toEqual(new Map([[producerId(1), 1]]))
    expect(again.applied).toEqual([])
  })

  test('a batch ahead of its predecessor waits for it, across a restart', async () => {
    const first = open()
    const ahead = await commit(first, [batch({ sequence: 2, sums: { a: 20 } })])
    expect(ahead.parked).toEqual([{ producer: producerId(1), sequence: 2 }])
    expect(ahead.watermarks).toEqual(new Map([[producerId(1), 0]]))
    await close(first)
    const second = open()
    const filled = await commit(second, [batch({ sequence: 1, sums: { a: 1 } })])
    expect(filled.watermarks).toEqual(new Map([[producerId(1), 2]]))
    expect(filled.parked).toEqual([])
    expect(sql('SELECT value FROM numbers')).toBe('21')
  })

  test('what a vanished producer cannot bring is given up, and the ledger says how much', async () => {
    const store = open()
    await commit(store, [batch({ sequence: 1, increments: 3, sealed: 3 })])
    await commit(store, [batch({ sequence: 4, increments: 2, sealed: 12, sums: { a: 7 } })])
    const given = await commit(store, [], [1])
    expect(given.lost).toEqual(new Map([[producerId(1), 7]]))
    expect(sql('SELECT watermark, sealed, applied, lost FROM producers')).toBe('4|12|5|7')
    expect(sql('SELECT value FROM numbers')).toBe('8')
  })

  test('every total is exact to 64 bits', async () => {
    const store = open()
    const max = Number.MAX_SAFE_INTEGER
    for (let sequence = 1; sequence <= 5; sequence++)
      await commit(store, [batch({ sequence, sums: { a: max } })])
    await commit(store, [batch({ sequence: 6, sums: { a: 1, b: 2n ** 62n } })])
    expect(sql('SELECT value FROM numbers ORDER BY key')).toBe(`${5n * BigInt(max) + 1n}\n${2n ** 62n}`)
    const reader = openSqliteReader(path)
    expect(await reader.total('a')).toBe(5n * BigInt(max) + 1n)
    expect(await reader.total('missing')).toBe(0n)
    await reader.close()
  })

  test('a sum that does not fit its total is set aside and the rest of its batch is applied', async () => {
    const store = open()
    await commit(store, [batch({ sequence: 1, sums: { a: 2n ** 63n - 1n, b: 1 } })])
    const applied = await commit(store, [batch({ sequence: 2, sums: { a: 1, b: 1, c: 2n ** 63n } })])
    expect(applied.setAsideCount).toBe(2)
    expect(sql('SELECT key, value FROM numbers ORDER BY key')).toBe(`a|${2n ** 63n - 1n}\nb|2`)
    expect(sql('SELECT key, value FROM set_aside ORDER BY key')).toBe(`a|1\nc|${2n ** 63n}`)
    expect(sql('SELECT watermark FROM producers')).toBe('2')
  })

  test('what is set aside of one key adds up in one row, and in one adjustment for all', async () => {
    const store = open()
    const max = 2n ** 63n - 1n
    await commit(store, [batch({ sequence: 1, sums: { a: max, b: max } })])
    await commit(store, [batch({ sequence: 2, sums: { a: 7, b: max, c: -(2n ** 70n) } })])
    await commit(store, [batch({ sequence: 3, sums: { a: max, b: 1, c: 3 } })])
    expect(sql('SELECT key, value FROM numbers ORDER BY key')).toBe(`a|${max}\nb|${max}\nc|3`)
    expect(sql('SELECT key, value FROM set_aside ORDER BY key')).toBe(
      `a|${max + 7n}\nb|${max + 1n}\nc|${-(2n ** 70n)}`,
    )
    expect(sql('SELECT sum FROM adjustments')).toBe(String(2n ** 70n - 2n * max - 8n))
  })

  test('one total at its limit costs its own statement a second try, and no other', async () => {
    const store = open()
    const keys = Array.from({ length: 1_000 }, (_, index) => `key ${1_000 + index}`)
    const sums = Object.fromEntries(keys.map(key => [key, 1]))
    await commit(store, [batch({ sequence: 1, sums: { ...sums, 'key 1500': 2n ** 63n - 1n } })])
    const second = batch({ sequence: 2, sums })
    const given = { batches: [second], rejected: [], presumedDead: new Set<string>() }
    expect(await store.commit(given)).toMatchObject({ rowCount: 999, setAsideCount: 1 })
    expect(sql('SELECT count(*) FROM numbers WHERE value = 2')).toBe('999')
    expect(sql('SELECT value FROM numbers WHERE key = "key 1500"')).toBe(String(2n ** 63n - 1n))
  })

  test('the sum of all that was applied is kept exactly, whatever its size', async () => {
    const store = open()
    await commit(store, [batch({ sequence: 1, sums: { a: 2n ** 62n, b: 2n ** 62n, c: 5, d: -7 } })])
    expect(sql('SELECT sum FROM producers')).toBe(String(2n ** 63n - 2n))
  })

  test('every commit is synced to the disk', async () => {
    const store = open()
    await commit(store, [batch({ sequence: 1 })])
    // The second write would show the weaker default of the build.
    await commit(store, [batch({ sequence: 2 })])
  })

  test('the newest elements that are no batches are kept, each once, cut, and good to print', async () => {
    const store = open()
    const reject = (...elements: (string | Buffer)[]) =>
      store.commit({
        batches: [],
        rejected: elements.map(element => ({ element, reason: 'x' })),
        presumedDead: new Set(),
      })
    await reject(...Array.from({ length: rejectedMax }, (_, index) => `element ${index}`))
    await reject('\u001b[2J\\é', Buffer.from([0, 0xff]), 'k'.repeat(1_000_000))
    await reject('element 500', `${'k'.repeat(1_000_000)}`)
    expect(sql('SELECT count(*), min(id), max(id) FROM rejected_elements')).toBe(
      `${rejectedMax}|4|${rejectedMax + 3}`,
    )
    expect(
      sql(
        `SELECT element, bytes FROM rejected_elements WHERE id IN (${rejectedMax + 1}, ${rejectedMax + 2})`,
      ),
    ).toBe(String.raw`\x1b[2J\\\xc3\xa9|7${'\n'}\x00\xff|2`)
    expect(sql(`SELECT length(element), bytes FROM rejected_elements WHERE id = ${rejectedMax + 3}`)).toBe(
      `${rejectedBytesKept}|1000000`,
    )
  })

  test('what waits is stored as it came, in bounded numbers', async () => {
    const store = open()
    const odd = decodeBatch(encodeBatch(batch({ sequence: 9 })).replace('"v":1', '"v":1, "x":"é"'))
    await commit(store, [odd])
    expect(sql('SELECT element FROM parked')).toBe(odd.element)
    const ahead = Array.from({ length: 2 * parkedPerProducerMax }, (_, index) =>
      batch({ sequence: 10 + index }),
    )
    const { rejected, parked } = await commit(store, ahead)
    expect(parked).toHaveLength(parkedPerProducerMax)
    expect(rejected).toHaveLength(parkedPerProducerMax + 1)
    expect(rejected.at(-1)!.element).toBe(ahead.at(-1)!.element)
  })

  test('an element that is no batch is kept for the operator', async () => {
    const store = open()
    await store.commit({
      batches: [],
      rejected: [{ element: 'garbage', reason: 'no JSON' }],
      presumedDead: new Set(),
    })
    expect(sql('SELECT element, reason FROM rejected_elements')).toBe('garbage|no JSON')
  })

  test('many keys go in with one transaction', async () => {
    const sums = Object.fromEntries(Array.from({ length: 1_234 }, (_, index) => [`key ${index}`, index]))
    await commit(open(), [batch({ sequence: 1, sums })])
    expect(sql('SELECT count(*), sum(value) FROM numbers')).toBe(`1234|${(1_233 * 1_234) / 2}`)
  })
})

describe('batches that were given up', () => {
  const ledger = () => sql('SELECT watermark, sealed, applied, duplicate, lost FROM producers')
  const ranges = () => sql('SELECT first, last, counted FROM given_up ORDER BY first')
  /** A batch of ten times as many increments as its sequence says. */
  const tenfold = (sequence: number, keyed: readonly KeyedRequest[] = []) =>
    batch({
      sequence,
      increments: 10 * sequence,
      sealed: 5 * sequence * (sequence + 1),
      sums: { a: 10 * sequence - keyed.length },
      keyed,
    })

  test('count when they arrive all the same, and are lost no longer', async () => {
    const first = open()
    await commit(first, [tenfold(1), tenfold(5)])
    expect((await commit(first, [], [1])).lost).toEqual(new Map([[producerId(1), 90]]))
    expect([ledger(), ranges()]).toEqual(['5|150|60|0|90', '2|4|1'])
    await close(first)
    const store = open()
    const { givenUp } = await store.watermarks()
    expect(givenUp).toEqual(new Map([[producerId(1), [{ first: 2, last: 4, isCounted: true }]]]))
    const third = await commit(store, [tenfold(3), tenfold(3), tenfold(5)])
    expect(third.applied).toHaveLength(1)
    expect(third.recovered).toEqual(new Map([[producerId(1), 30]]))
    expect(third.watermarks).toEqual(new Map([[producerId(1), 5]]))
    expect([...third.givenUp.values()].flat()).toMatchObject([{ first: 2 }, { first: 4 }])
    expect([ledger(), ranges()]).toEqual(['5|150|90|0|60', '2|2|1\n4|4|1'])
    const rest = await commit(store, [tenfold(4), tenfold(6), tenfold(2), tenfold(3)])
    expect([rest.givenUp, rest.lost]).toEqual([new Map(), new Map()])
    expect([ledger(), ranges()]).toEqual(['6|210|210|0|0', ''])
    expect(sql('SELECT value FROM numbers')).toBe('210')
    expect(sql('SELECT sum FROM producers')).toBe('210')
  })

  test('bring their requests, of which those that were sent again meanwhile do not count', async () => {
    const store = open()
    const [once, other] = [keyedRequest('k', 'b', 1), keyedRequest('l', 'c', 1)]
    await commit(store, [tenfold(1), tenfold(3)], [])
    await commit(store, [], [1])
    await commit(store, [batch({ producer: 2, sequence: 1, sums: {}, keyed: [once] })])
    const applied = await commit(store, [tenfold(2, [once, other])])
    expect(applied.outcomes).toEqual([{ producer: producerId(1), sequence: 2, codes: 'da' }])
    expect((await commit(store, [tenfold(2, [once, other])])).outcomes).toEqual(applied.outcomes)
    expect(sql('SELECT key, value FROM numbers ORDER BY key')).toBe('a|58\nb|1\nc|1')
    expect(sql(`SELECT sealed, applied, duplicate, lost FROM producers WHERE producer = '00000001'`)).toBe(
      '60|59|1|0',
    )
  })

  test('are those between, where an operator accepted a loss: whether counted before they arrive or not', async () => {
    const store = open()
    await commit(store, [tenfold(1), tenfold(4)])
    await store.acceptLoss(new Map([[producerId(1), 5]]))
    expect(ranges()).toBe('2|5|0')
    // It was parked.
    const askedAbout = new Set([producerId(1)])
    const unparked = await store.commit({ batches: [], rejected: [], presumedDead: new Set(), askedAbout })
    expect(unparked.applied).toHaveLength(1)
    expect([ledger(), ranges()]).toEqual(['5|50|50|0|0', '2|3|0\n5|5|0'])
    await commit(store, [tenfold(2)])
    expect([ledger(), ranges()]).toEqual(['5|70|70|0|0', '3|3|0\n5|5|0'])
    await store.acceptLoss(new Map([[producerId(1), 7]]))
    expect(ranges()).toBe('3|3|0\n5|7|0')
    // Six comes before, and seven behind the one that says how much was lost.
    const applied = await commit(store, [tenfold(6), tenfold(8), tenfold(7)])
    expect([applied.lost, applied.recovered]).toEqual([
      new Map([[producerId(1), 150]]),
      new Map([[producerId(1), 70]]),
    ])
    expect([ledger(), ranges()]).toEqual(['8|360|280|0|80', '3|3|1\n5|5|1'])
    await commit(store, [tenfold(5), tenfold(3)])
    expect([ledger(), ranges()]).toEqual(['8|360|360|0|0', ''])
  })

  test('never make what is lost negative, whatever they say of themselves', async () => {
    const store = open()
    await commit(store, [tenfold(1), batch({ sequence: 3, increments: 5, sealed: 18 })])
    await commit(store, [], [1])
    expect(ledger()).toBe('3|18|15|0|3')
    await commit(store, [tenfold(2)])
    expect(ledger()).toBe('3|35|35|0|0')
  })
})

describe('the write-ahead log', () => {
  test('is copied and emptied where nobody reads, and a reader holds it back without being waited for', async () => {
    const store = open()
    await commit(store, [batch({ sequence: 1, sums: { a: 1 } })])
    expect(store.uncopiedBytes()).toBeGreaterThan(0)
    expect(store.checkpoint('copy')).toBe(true)
    expect(store.uncopiedBytes()).toBe(0)
    const reader = new Sqlite(path, { readonly: true })
    reader.exec('BEGIN')
    reader.prepare('SELECT * FROM numbers').all()
    await commit(store, [batch({ sequence: 2, sums: { a: 1 } })])
    const startedMs = performance.now()
    expect(store.checkpoint('empty')).toBe(false)
    expect(performance.now() - startedMs).toBeLessThan(500)
    expect(store.logBytes()).toBeGreaterThan(0)
    reader.close()
    expect(store.checkpoint('empty')).toBe(true)
    expect([store.logBytes(), store.uncopiedBytes()]).toEqual([0, 0])
    await commit(store, [batch({ sequence: 3, sums: { a: 1 } })])
    expect(sql('SELECT value FROM numbers')).toBe('3')
  })
})

describe('opening a store', () => {
  test('a store keeps its id', async () => {
    const first = open()
    const { id } = first
    await close(first)
    expect(open().id).toBe(id)
  })

  test('the table that people read is as promised', () => {
    open()
    expect(sql('.schema numbers').replace(/\s+/g, ' ')).toBe(
      'CREATE TABLE numbers ( key TEXT PRIMARY KEY, value INTEGER NOT NULL ) STRICT, WITHOUT ROWID;',
    )
  })

  test('a second consumer is refused, whatever name it has for the file', () => {
    open()
    expect(code(() => openSqliteStore(path, { clock: systemClock, log }))).toBe('store_locked')
    execFileSync('ln', ['-s', path, join(folder, 'link.db')])
    expect(code(() => openSqliteStore(join(folder, 'link.db'), { clock: systemClock, log }))).toBe(
      'store_locked',
    )
  })

  test('a database of the seed project is taken over with its totals', async () => {
    sql(`CREATE TABLE numbers (key TEXT, value INTEGER DEFAULT 0);
         CREATE UNIQUE INDEX numbers_key ON numbers (key);
         INSERT INTO numbers VALUES ('a', 5), ('b', -3), ('max', 9223372036854775807), ('none', NULL), ('real', 1.5)`)
    const store = open()
    await commit(store, [batch({ sequence: 1, sums: { a: 1 } })])
    expect(sql('SELECT key, value FROM numbers ORDER BY key')).toBe(
      'a|6\nb|-3\nmax|9223372036854775807\nnone|0',
    )
    expect(sql('SELECT key, value FROM set_aside')).toBe('real|1.5')
    expect(sql('SELECT sum FROM adjustments')).toBe(String(2n ** 63n - 1n + 2n))
  })

  test('a database of a newer version is refused and left as it is', async () => {
    await close(open())
    sql('PRAGMA user_version = 99')
    const before = readFileSync(path)
    expect(code(() => open())).toBe('store_newer')
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('a database of the version before is brought to this one, with its totals and its ledger', async () => {
    const store = open()
    await commit(store, [batch({ sequence: 1, sums: { a: 5 } })])
    await close(store)
    sql(`${toVersion2} DROP TABLE idempotency_keys; ALTER TABLE producers DROP COLUMN duplicate;
      PRAGMA user_version = 1`)
    const opened = open()
    await commit(opened, [
      batch({ sequence: 1 }),
      batch({ sequence: 2, sums: {}, keyed: [keyedRequest('k', 'a', 2)] }),
    ])
    expect(sql('SELECT key, value FROM numbers')).toBe('a|7')
    expect(sql('SELECT watermark, applied, duplicate FROM producers')).toBe('2|2|0')
    expect(opened.idempotencyKeyCount()).toBe(1)
    expect(sql('PRAGMA user_version')).toBe(String(schemaVersion))
  })

  test('of elements that an older version rejected the newest stay, and all are counted', async () => {
    const store = open()
    await close(store)
    sql(`${toVersion2}
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rejectedMax + 50})
      INSERT INTO rejected_elements SELECT i, hex(zeroblob(3000)), 'old', 1 FROM n`)
    const opened = open()
    await opened.commit({ batches: [], rejected: [{ element: 'new', reason: 'x' }], presumedDead: new Set() })
    expect(sql('SELECT count(*), min(id), max(id), max(length(element)) FROM rejected_elements')).toBe(
      `${rejectedMax}|52|${rejectedMax + 51}|${rejectedBytesKept}`,
    )
  })

  test('rows that were set aside one by one become one a key, and their adjustments one, exactly', async () => {
    await close(open())
    const overflow = 'the total would leave 64 bits'
    sql(`${toVersion2} INSERT INTO set_aside (key, value, reason, set_aside_ms) VALUES
        ('a', '9223372036854775807', '${overflow}', 5), ('b', '-3', '${overflow}', 6),
        ('a', '9223372036854775807', '${overflow}', 7), ('', 'x', 'taken over', 8), ('', 'y', 'taken over', 9);
      INSERT INTO adjustments (sum, reason, adjusted_ms) VALUES
        ('12', 'taken over from a seed database', 1), ('-9223372036854775807', 'set aside: a', 5),
        ('3', 'set aside: b', 6), ('-9223372036854775807', 'set aside: a', 7)`)
    const store = open()
    await commit(store, [batch({ sequence: 1, sums: { a: 2n ** 64n } })])
    expect(sql('SELECT key, value FROM set_aside ORDER BY key, value')).toBe(
      `|x\n|y\na|${2n ** 65n - 2n}\nb|-3`,
    )
    expect(sql('SELECT sum, reason FROM adjustments ORDER BY id')).toBe(
      `12|taken over from a seed database\n${5n - 2n ** 65n}|set aside`,
    )
  })

  test("another program's database is refused and left as it is", () => {
    sql('CREATE TABLE invoices (id INTEGER)')
    const before = readFileSync(path)
    expect(code(() => open())).toBe('store_unknown')
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('a file that is no database is refused', () => {
    writeFileSync(path, 'this is not a database, only a text of some length')
    expect(code(() => open())).toBe('store_unknown')
    expect(code(() => openSqliteReader(path))).toBe('store_unknown')
  })

  test('a database with a damaged page is refused', async () => {
    const store = open()
    const sums = Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`key ${index}`, 1]))
    await commit(store, [batch({ sequence: 1, sums })])
    await close(store)
    const bytes = readFileSync(path)
    bytes.fill(0xff, 4096 * 12, 4096 * 14)
    writeFileSync(path, bytes)
    expect(code(() => open())).toBe('store_corrupt')
  })

  test('a reader of a database that is not there says so and makes none', () => {
    expect(code(() => openSqliteReader(path))).toBe('store_unreadable')
    expect(code(() => openSqliteReader(path))).toBe('store_unreadable')
  })

  test.each(['nothing', 'file'])(
    'a database in %s, which is no folder, is refused, and none is made',
    name => {
      writeFileSync(join(folder, 'file'), '')
      path = join(folder, name, 'numbers.db')
      expect(code(() => open())).toBe('store_unreadable')
      expect(readdirSync(folder)).toEqual(['file'])
    },
  )

  test('a loss that the operator accepts moves the watermarks, and the next batch says how much it was', async () => {
    const store = open()
    await commit(store, [batch({ sequence: 1, increments: 4, sealed: 4 })])
    await store.acceptLoss(
      new Map([
        [producerId(1), 3],
        [producerId(2), 9],
      ]),
    )
    expect((await store.watermarks()).applied).toEqual(
      new Map([
        [producerId(1), 3],
        [producerId(2), 9],
      ]),
    )
    const applied = await commit(store, [batch({ sequence: 4, increments: 1, sealed: 20 })])
    expect(applied.lost).toEqual(new Map([[producerId(1), 15]]))
  })
})
