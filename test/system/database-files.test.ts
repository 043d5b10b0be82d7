import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { TestBed } from '../kit/test-bed.ts'
import { Program } from '../kit/service.ts'

const bed = new TestBed()
const one = () => bed.folder.database
const other = () => join(bed.folder.path, 'other.db')

async function startWith(total: number): Promise<void> {
  await bed.start('--web-processes', '1', '--ack-timeout-ms', '1000', '--stop-timeout-ms', '3000')
  expect(await committed(total)).toBe(200)
}
/** Adds one; the status of the answer. */
async function committed(value = 1): Promise<number> {
  const body = new URLSearchParams({ key: 'foo', value: String(value) })
  const response = await fetch(`${bed.service.url}/increment?ack=committed`, { method: 'POST', body })
  await response.arrayBuffer()
  return response.status
}
const readiness = async () => (await fetch(`${bed.service.url}/readyz`)).text()
const says = (code: string) => until(`readiness says ${code}`, async () => (await readiness()).includes(code))
const counts = (total: number) =>
  until(`the total is ${total}`, () => existsSync(one()) && bed.folder.totals().get('foo') === String(total))
const handovers = () => bed.folder.files().filter(name => name.endsWith('.handover'))
async function isSound(): Promise<void> {
  const verify = new Program(['verify', '--database', one()])
  expect([await verify.exited, verify.output]).toEqual([0, expect.stringContaining('everything adds up')])
}

test.each([
  { what: 'the database', move: () => one() },
  { what: 'its folder', move: () => bed.folder.path },
])('while $what is away nothing is committed, and it goes on when that is back', async ({ move }) => {
  await startWith(5)
  const path = move()
  renameSync(path, `${path}-away`)
  // Its commit may have come before.
  expect([200, 202]).toContain(await committed())
  expect(await committed()).toBe(202)
  await says('store_gone')
  expect(await committed()).toBe(202)
  renameSync(`${path}-away`, path)
  await counts(8)
  await until('it is ready again', async () => (await readiness()).includes('"ready":true'))
  expect(await committed()).toBe(200)
  expect(bed.service.output).not.toContain('a process ended')
  expect(await bed.service.stop()).toBe(0)
  await isSound()
})

test('after the database was deleted, what comes is left for the start with its backup', async () => {
  await startWith(5)
  bed.folder.sql(`.backup ${other()}`)
  rmSync(one())
  await says('store_gone')
  for (let count = 0; count < 3; count++) expect(await committed()).toBe(202)
  expect(bed.service.output).not.toContain('a process ended')
  await bed.service.stop()
  expect(existsSync(one())).toBe(false)
  expect(handovers()).toHaveLength(1)
  renameSync(other(), one())
  await bed.start('--web-processes', '1')
  await counts(8)
  await isSound()
})

test('a copy that takes the place of the database is opened, and goes on where that was', async () => {
  await startWith(5)
  bed.folder.sql(`.backup ${other()}`)
  renameSync(other(), one())
  expect([200, 202]).toContain(await committed())
  await bed.service.says(/store_replaced/)
  await counts(6)
  expect(await committed()).toBe(200)
  await counts(7)
  await isSound()
})

test('a copy that is still being written is left alone until it is complete', async () => {
  await startWith(5)
  bed.folder.sql(`.backup ${other()}`)
  rmSync(one())
  writeFileSync(one(), '')
  await says('store_gone')
  expect(await committed()).toBe(202)
  expect(bed.service.output).not.toContain('a process ended')
  copyFileSync(other(), one())
  await counts(6)
  await isSound()
})

test('a consumer that dies while the database is away makes no other one', async () => {
  await startWith(5)
  renameSync(one(), `${one()}-away`)
  await says('store_gone')
  bed.signalConsumer('SIGKILL')
  await bed.service.says(/store_gone\]/)
  expect(await committed()).toBe(202)
  expect(existsSync(one())).toBe(false)
  renameSync(`${one()}-away`, one())
  await counts(6)
  await isSound()
})

test('another database in its place is not written to, and nothing is lost', async () => {
  await startWith(5)
  execFileSync('sqlite3', [other(), 'CREATE TABLE numbers (key TEXT PRIMARY KEY, value INTEGER)'])
  renameSync(one(), `${one()}-away`)
  renameSync(other(), one())
  expect([200, 202]).toContain(await committed())
  await bed.service.says(/queue_foreign/)
  expect(await committed()).toBe(202)
  expect(bed.folder.totals().size).toBe(0)
  renameSync(`${one()}-away`, one())
  await counts(7)
  await isSound()
})

test.each(['-wal', '-shm'])(
  'when the file %s is deleted or replaced, what it held is saved first',
  async suffix => {
    await startWith(5)
    rmSync(`${one()}${suffix}`)
    await bed.service.says(/store_replaced/)
    await until('it commits again', async () => (await committed()) === 200)
    const before = Number(bed.folder.totals().get('foo'))
    writeFileSync(other(), 'something else')
    renameSync(other(), `${one()}${suffix}`)
    await until('it is opened once more', () => bed.service.output.match(/store_replaced/g)!.length > 1)
    await until('it commits again', async () => (await committed()) === 200)
    for (const pid of [...bed.service.children().values(), bed.service.pid]) process.kill(pid, 'SIGKILL')
    await bed.service.exited
    expect(Number(bed.folder.totals().get('foo'))).toBeGreaterThan(before)
    await isSound()
  },
)

test('without its lock file it goes on', async () => {
  await startWith(5)
  rmSync(`${one()}-lock`)
  expect(await committed()).toBe(200)
  await counts(6)
})

test.each([0, 4_096])(
  'a database that is cut off to %i bytes is noticed, and nothing more is lost',
  async bytes => {
    await startWith(5)
    bed.folder.sql('PRAGMA wal_checkpoint(TRUNCATE)')
    truncateSync(one(), bytes)
    expect(await committed().catch(() => 'no answer')).not.toBe(200)
    expect(await bed.service.exited).toBe(78)
    expect(handovers()).toHaveLength(1)
  },
)

test('a database that another program makes smaller is opened again at most', async () => {
  await startWith(5)
  bed.folder.sql('CREATE TABLE big AS SELECT randomblob(1000000) AS bytes; PRAGMA wal_checkpoint(TRUNCATE)')
  expect(await committed()).toBe(200)
  bed.folder.sql('DROP TABLE big; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)')
  expect(await committed()).toBe(200)
  await counts(7)
  await isSound()
})

test('a folder that takes the place of its folder is no place for it', async () => {
  await startWith(5)
  const { path } = bed.folder
  renameSync(path, `${path}-away`)
  mkdirSync(path)
  await says('store_gone')
  expect(await committed()).toBe(202)
  rmSync(path, { recursive: true })
  renameSync(`${path}-away`, path)
  await counts(6)
})
