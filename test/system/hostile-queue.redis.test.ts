import type { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { encodeBatch } from '../../batch/writer.ts'
import { elementBytesMax, countMax } from '../../batch/limits.ts'
import { parkedPerProducerMax, rejectedMax } from '../../store/limits.ts'
import { batch, producerId } from '../kit/builders.ts'
import { until } from '../kit/condition.ts'
import type { RedisServer } from '../kit/redis-server.ts'
import { TestBed } from '../kit/test-bed.ts'
import { Program } from '../kit/service.ts'

const bed = new TestBed()
const list = 'piccolo:{0}:batches'
let redis: RedisServer
let admin: Redis

beforeEach(async () => {
  redis = await bed.startOnRedis('--web-processes', '1', '--producer-gone-after-ms', '5000')
  admin = redis.client()
})
afterEach(() => admin.disconnect())

/** Returns a batch that somebody made up, valid but for the given fields. */
function element(
  given: { producer?: number; sequence?: number | string; [field: string]: unknown } = {},
): string {
  const { producer = 7, sequence = 1, ...fields } = given
  const body = { v: 1, oldestMs: 1, increments: 1, sealed: 1, keys: ['x'], sums: [1], ...fields }
  return `${producerId(producer)} ${sequence} ${JSON.stringify(body)}`
}
const keyed = (fields: object = {}) =>
  element({
    v: 2,
    keys: [],
    sums: [],
    keyed: [{ idempotencyKey: 'k', fingerprint: 'f', increments: 1, keys: ['x'], sums: [1], ...fields }],
  })
const many = Array.from({ length: 10_001 }, (_, index) => `key ${index}`)
const nested = (depth: number) => `00000007 1 {"v":1,"x":${'['.repeat(depth)}${']'.repeat(depth)}}`

const rubbish: readonly (string | Buffer)[] = [
  '',
  '\0',
  '\u001b[2J\u001b]0;title\u0007',
  Buffer.from([0xff, 0xfe, 0x00, 0x80]),
  Buffer.concat([Buffer.from([0xff]), Buffer.from(element())]),
  Buffer.from(element().replace('x', 'é'), 'latin1'),
  element({ sequence: '9999999999999999' }),
  element({ sequence: String(countMax + 1) }),
  element({ sequence: '9'.repeat(90) }),
  element({ sequence: 5, keys: many, sums: many.map(() => 1), increments: 20_000, sealed: 20_000 }),
  element({ increments: 2 ** 53 - 1, sealed: 2 ** 53 - 1 }),
  element({ increments: 2, sealed: 1 }),
  element({ increments: 0, sealed: 1 }),
  element({ sealed: 1e300 }),
  element({ oldestMs: 1e300 }),
  element({ oldestMs: -1 }),
  element({ keys: [''] }),
  element({ keys: ['k'.repeat(513)] }),
  element({ keys: ['\0'] }),
  element({ keys: ['\u001b[31m'] }),
  element({ keys: ['\ud800'] }),
  element({ keys: { length: 1, 0: 'x' } }),
  element({ sums: [1e40] }),
  element({ sums: ['9'.repeat(31)] }),
  element({ sums: [{ valueOf: 1 }] }),
  element({ v: { toString: 1, valueOf: 1 } }),
  element({ v: '\u001b[2J' }),
  element({ v: 1e9 }),
  '00000007 1 {"__proto__":{"v":1,"oldestMs":1,"increments":1,"sealed":1,"keys":["x"],"sums":[1]}}',
  '00000007 1 {"v":1,"__proto__":null,"constructor":1}',
  '../../../tmp/x 1 {"v":1}',
  nested(1_000),
  nested(2_000_000),
  keyed({ idempotencyKey: 'k'.repeat(1024 * 1024) }),
  keyed({ idempotencyKey: '\u001b[2J' }),
  keyed({ fingerprint: 7 }),
  keyed({ fingerprint: 'f'.repeat(1024 * 1024) }),
  keyed({ increments: 2 ** 53 - 1 }),
  keyed({ increments: 0 }),
  keyed({ keys: ['x', 'y'] }),
  element({
    v: 2,
    keyed: Array(100_000).fill({ idempotencyKey: 'k', fingerprint: 'f', increments: 0, keys: [], sums: [] }),
  }),
  `${element()} `,
  'x'.repeat(elementBytesMax + 1),
  Buffer.alloc(elementBytesMax + 5, 0xff),
]

const left = () => admin.llen(list)
const rejected = () => Number(bed.folder.sql('SELECT coalesce(max(id), 0) FROM rejected_elements'))

/** The service counts on, in the processes that it had, and its account is sound. */
async function countsOn(total: number): Promise<void> {
  const { service, folder } = bed
  expect(await service.increment('foo', 1)).toBe(200)
  await until('it counts on', () => folder.totals().get('foo') === String(total))
  expect(service.output).not.toContain('a process ended')
  const verify = new Program(['verify', '--database', folder.database, '--redis', redis.url])
  expect([await verify.exited, verify.output]).toEqual([0, expect.stringContaining('everything adds up')])
  for (const output of [service.output, verify.output])
    expect(['\u001b', '\ufffd'].some(each => output.includes(each))).toBe(false)
}

test('any element of the list that is no batch is removed by its bytes, and kept for the operator', async () => {
  for (const each of rubbish) await admin.rpush(list, each)
  await until('the list is empty', async () => (await left()) === 0)
  expect(rejected()).toBe(rubbish.length)
  const { folder } = bed
  expect(folder.sql('SELECT count(*) FROM numbers')).toBe('0')
  expect(folder.sql('SELECT count(*) FROM parked')).toBe('0')
  expect(folder.sql('SELECT max(length(element)) < 10000 FROM rejected_elements')).toBe('1')
  expect(
    folder.sql(String.raw`SELECT count(*) FROM rejected_elements WHERE element = '\xff\xfe\x00\x80'`),
  ).toBe('1')
  expect(
    folder.sql(
      `SELECT count(*) FROM rejected_elements WHERE element LIKE 'an element of ${elementBytesMax + 1} bytes: xxx%'`,
    ),
  ).toBe('1')
  await countsOn(1)
})

test('a flood of rubbish leaves a bounded table, and a line a second in the log', async () => {
  const startedMs = performance.now()
  for (let from = 0; from < 9_000; from += 1_000)
    await admin.rpush(list, ...Array.from({ length: 1_000 }, (_, index) => `rubbish ${from + index}`))
  await until('the list is empty', async () => (await left()) === 0)
  const seconds = (performance.now() - startedMs) / 1_000
  expect(rejected()).toBe(9_000)
  expect(Number(bed.folder.sql('SELECT count(*) FROM rejected_elements'))).toBe(rejectedMax)
  await countsOn(1)
  const lines = bed.service.output.split('\n').filter(line => line.includes('batch_corrupt'))
  expect(lines.length).toBeLessThanOrEqual(seconds + 2)
  await until('each of them is in a line', () => {
    const counts = bed.service.output.matchAll(/"elementCount":(\d+)/g)
    return [...counts].reduce((sum, [, count]) => sum + Number(count), 0) === 9_000
  })
})

test('batches far ahead wait for a while, in bounded numbers, and block nobody', async () => {
  const forged = Array.from({ length: 1_000 }, (_, index) =>
    element({ producer: 8, sequence: 2 * (index + 1) }),
  )
  const others = Array.from({ length: 200 }, (_, index) =>
    element({ producer: 1_000 + index, sequence: countMax }),
  )
  await admin.rpush(list, ...forged, ...others)
  await until('the list is empty', async () => (await left()) === 0)
  const most = parkedPerProducerMax + others.length
  expect(Number(bed.folder.sql('SELECT count(*) FROM parked'))).toBeLessThanOrEqual(most)
  await countsOn(1)
  await until('they are given up', () => bed.folder.sql('SELECT count(*) FROM parked') === '0')
  await countsOn(2)
  expect(bed.service.output.match(/increments lost/g)?.length ?? 0).toBeLessThan(100)
})

test('a batch of which its producer would have sealed less than before is as if it had not come', async () => {
  const sums = { x: 1 }
  const good = [1, 2, 3].map(sequence =>
    encodeBatch(batch({ sequence, sums, sealed: 10 * sequence, increments: 10 })),
  )
  const forged = [
    element({ producer: 1, sequence: 2, increments: 5, sealed: 5 }),
    element({ producer: 1, sequence: 3, increments: 9, sealed: 12 }),
  ]
  await admin.rpush(list, good[0]!, ...forged, good[1]!, good[2]!)
  await until('the list is empty', async () => (await left()) === 0)
  await until('the good ones count', () => bed.folder.totals().get('x') === '3')
  expect(bed.folder.sql('SELECT watermark, sealed, applied, lost FROM producers')).toBe('3|30|30|0')
  await countsOn(1)
})

test('a key that stands twice in a batch counts twice', async () => {
  await admin.rpush(list, element({ keys: ['x', 'x'], sums: [2, 3], increments: 2, sealed: 2 }))
  await until('it is counted', () => bed.folder.totals().get('x') === '5')
  await countsOn(1)
})

test('1,200 producers that each say that they sealed the most break no sum of theirs', async () => {
  const forged = Array.from({ length: 1_200 }, (_, index) =>
    element({ producer: 1_000 + index, increments: countMax, sealed: countMax, sums: [2 ** 53 - 1] }),
  )
  await admin.rpush(list, ...forged)
  await until('they count', () => bed.folder.sql('SELECT count(*) FROM producers') === '1200')
  expect(await bed.metric('piccolo_ledger_sealed_increments')).toBe(1_200 * countMax)
  await countsOn(1)
})

test('hashes of the queue that hold anything keep no producer and no consumer from counting', async () => {
  expect(await bed.service.increment('foo', 1)).toBe(200)
  await until('it is counted', () => bed.folder.totals().get('foo') === '1')
  const producer = async () => (await admin.hkeys('piccolo:{0}:alive')).find(name => name !== 'somebody')!
  let total = 1
  for (const value of ['abc', '1e99', 'nan', '-1', '1.5', '', '\u001b[2J']) {
    for (const hash of ['pushed', 'applied', 'alive', 'outcomes'])
      await admin.hset(`piccolo:{0}:${hash}`, { [await producer()]: value, somebody: value, [value]: value })
    expect(await bed.service.increment('foo', 1)).toBe(200)
    total++
    await until(`it counts on beside ${value}`, () => bed.folder.totals().get('foo') === String(total))
  }
  await countsOn(++total)
  bed.signalConsumer('SIGKILL')
  await bed.service.says(/a process ended/)
  expect(await bed.service.increment('foo', 1)).toBe(200)
  await until('the next consumer counts', () => bed.folder.totals().get('foo') === String(total + 1))
})

test('an element that an older version parked although it is no batch is rejected when its turn comes', async () => {
  await bed.service.stop()
  const bad = `00000009 9999999999999999 {"v":1,"increments":1}`
  bed.folder.sql(
    `INSERT INTO parked VALUES ('00000009', 10000000000000000, '${bad}', 1), ('00000009', 7, 'x', 1)`,
  )
  await bed.startOnRedis('--web-processes', '1', '--producer-gone-after-ms', '5000')
  await until('they are rejected', () => bed.folder.sql('SELECT count(*) FROM parked') === '0')
  expect(rejected()).toBe(2)
  await countsOn(1)
})
