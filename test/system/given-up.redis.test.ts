import { beforeEach, expect, test } from 'vitest'
import { batchIdOf } from '../../batch/batch.ts'
import { writeHandover } from '../../intake/handover/handover-files.ts'
import { until } from '../kit/condition.ts'
import { TestBed } from '../kit/test-bed.ts'
import { Program } from '../kit/service.ts'

const bed = new TestBed()
const list = 'piccolo:{0}:batches'
let lostElement: string

const signal = (title: string, name: NodeJS.Signals) => process.kill(bed.service.children().get(title)!, name)
const ledger = () => bed.folder.sql('SELECT sealed, applied, lost FROM producers WHERE sealed > 0')
const total = () => bed.folder.totals().get('foo')

/** One of three batches of a web process is gone from Redis, before the consumer has read it. */
beforeEach(async () => {
  const redis = await bed.startOnRedis('--web-processes', '1', '--producer-gone-after-ms', '5000')
  const admin = redis.client()
  signal('piccolo consumer', 'SIGSTOP')
  for (const [index, value] of [1, 10, 100].entries()) {
    expect(await bed.service.increment('foo', value)).toBe(200)
    await until('it is in Redis', async () => (await admin.llen(list)) === index + 1)
  }
  signal('piccolo web 1', 'SIGSTOP')
  lostElement = (await admin.lpop(list))!
  admin.disconnect()
  signal('piccolo consumer', 'SIGCONT')
  await until('it was given up', () => ledger() === '3|2|1')
})

test('increments of a web process that was silent for too long count when it goes on', async () => {
  signal('piccolo web 1', 'SIGCONT')
  await until('it counts', () => total() === '111')
  expect(ledger()).toBe('3|3|0')
  await bed.service.says(/increments arrived that had been given up/)
  await until('it is confirmed', async () => (await bed.metric('piccolo_batches_unconfirmed')) === 0)
  expect(await bed.metric('piccolo_increments_recovered_total')).toBe(1)
})

test('batches that a dead web process left count when they are delivered after they were given up', async () => {
  signal('piccolo web 1', 'SIGKILL')
  const place = { database: bed.folder.database, stateDir: null }
  const { producer } = batchIdOf(lostElement)!
  writeHandover(bed.folder.path, place, { store: null, producer, elements: [lostElement] })
  await until('it counts', () => total() === '111')
  await until('the file is gone', () => !bed.folder.files().some(name => name.endsWith('.handover')))
  expect(ledger()).toBe('3|3|0')
  const verify = new Program(['verify', '--database', bed.folder.database])
  expect(await verify.exited).toBe(0)
  expect(verify.output).toContain('sealed 3, applied 3, duplicate 0, lost 0')
})
