import { expect, test } from 'vitest'
import { encodeBatch } from '../../batch/writer.ts'
import { batch } from '../kit/builders.ts'
import { until } from '../kit/condition.ts'
import { Program } from '../kit/service.ts'
import { TestBed } from '../kit/test-bed.ts'

const bed = new TestBed()

async function verify(...args: string[]): Promise<{ exitCode: number | null; output: string }> {
  const program = bed.use(new Program(['verify', '--database', bed.folder.database, ...args]))
  return { exitCode: await program.exited, output: program.output }
}

test('a sound database adds up, beside the running service', async () => {
  const service = await bed.start('--web-processes', '2')
  for (let count = 0; count < 30; count++) await service.increment(`key ${count % 7}`, count - 9)
  const body = new URLSearchParams({ key: 'x', value: '1' })
  const keyed = { method: 'POST', headers: { 'Idempotency-Key': 'a' }, body }
  for (let count = 0; count < 2; count++) await (await fetch(`${service.url}/increment`, keyed)).text()
  await until('all is counted', async () => bed.folder.sql('SELECT sum(sealed) FROM producers') === '32')
  const { exitCode, output } = await verify()
  expect(output).toContain(
    'all producers, in increments: sealed 32, applied 31, duplicate 1, lost 0, parked 0, queued 0\n',
  )
  expect(output).toContain('8 totals, sum 166; applied 166, adjusted 0\n')
  expect(output).toMatch(/everything adds up, and the file is sound\n$/)
  expect(exitCode).toBe(0)
})

test('a total changed by hand is found, with the difference', async () => {
  const service = await bed.start()
  await service.increment('foo', 5)
  await service.hasTotals(new Map([['foo', '5']]))
  await service.stop()
  bed.folder.sql(`UPDATE numbers SET value = 2 WHERE key = 'foo'`)
  const { exitCode, output } = await verify()
  expect(output).toContain('WRONG: the totals sum up to 2, applied were 5: -3\n')
  expect(output).not.toContain('adds up')
  expect(exitCode).toBe(1)
})

test('a ledger that does not account for what was sealed is found', async () => {
  const service = await bed.start()
  await service.increment('foo', 5)
  await service.hasTotals(new Map([['foo', '5']]))
  await service.stop()
  bed.folder.sql('UPDATE producers SET sealed = sealed + 2')
  const { exitCode, output } = await verify()
  expect(output).toMatch(/WRONG: producer [0-9a-f]+ sealed 3 increments, accounted for are 1\n/)
  expect(exitCode).toBe(1)
})

test('sums beyond 64 bits, totals taken over and sums set aside add up', async () => {
  bed.folder.sql(`CREATE TABLE numbers (key TEXT, value INTEGER DEFAULT 0);
    CREATE UNIQUE INDEX i ON numbers (key);
    INSERT INTO numbers VALUES ('a', 9223372036854775807), ('b', 9223372036854775807), ('c', -5)`)
  const service = await bed.start()
  await service.increment('a', 1)
  await service.increment('c', 2)
  await service.hasTotals(
    new Map([
      ['a', '9223372036854775807'],
      ['b', '9223372036854775807'],
      ['c', '-3'],
    ]),
  )
  await until('one is set aside', () => bed.folder.sql('SELECT count(*) FROM set_aside') === '1')
  await service.says(/"code":"sums_set_aside"/)
  const { exitCode, output } = await verify()
  expect(output).toContain('sum 18446744073709551611; applied 3, adjusted 18446744073709551608\n')
  expect(exitCode).toBe(0)
})

test('a damaged file is found', async () => {
  const service = await bed.start()
  await service.increment('foo', 5)
  await service.hasTotals(new Map([['foo', '5']]))
  await service.stop()
  bed.folder.sql(
    `PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 99 WHERE name = 'set_aside'`,
  )
  const { exitCode, output } = await verify()
  expect(output).toMatch(/damaged|store_corrupt/)
  expect(exitCode).not.toBe(0)
})

test('batches in the embedded queue are shown, by producer', async () => {
  const service = await bed.start('--web-processes', '1')
  await service.increment('foo', 5)
  await service.hasTotals(new Map([['foo', '5']]))
  const consumer = service.children().get('piccolo consumer')!
  process.kill(consumer, 'SIGSTOP')
  for (let count = 0; count < 7; count++) await service.increment('bar', 1)
  await until('they are queued', async () => {
    const { output } = await verify()
    return /: sealed 1, .*queued 7\nall producers.*: sealed 1, applied 1,.* queued 7\n/.test(output)
  })
  const metrics = await (await fetch(`${service.url}/metrics`)).text()
  expect(metrics).toMatch(/^piccolo_increments_unconfirmed\{process="web 1"\} 7$/m)
  process.kill(consumer, 'SIGCONT')
  await service.hasTotals(
    new Map([
      ['foo', '5'],
      ['bar', '7'],
    ]),
  )
  expect(await verify()).toMatchObject({
    exitCode: 0,
    output: expect.stringMatching(/applied 8, .*queued 0\n/),
  })
  await service.stop()
  const { exitCode, output } = await verify()
  expect(output).not.toContain('queued')
  expect(output).toContain('no piccolo up with a queue of its own has this database')
  expect(exitCode).toBe(0)
})

test('a web process that was never heard of in the database is shown, too', async () => {
  const service = await bed.start('--web-processes', '1')
  process.kill(service.children().get('piccolo consumer')!, 'SIGSTOP')
  await service.increment('foo', 5)
  await until('it is queued', async () => {
    const { output } = await verify()
    return /[0-9a-f]{20}: sealed 0, applied 0, .*queued 1\n/.test(output)
  })
  process.kill(service.children().get('piccolo consumer')!, 'SIGCONT')
})

test('batches left beside the database for the next start are shown', async () => {
  await (await bed.start()).stop()
  bed.folder.handOver(3, [encodeBatch(batch({ producer: 3, sequence: 1, increments: 12 }))])
  const { exitCode, output } = await verify()
  expect(output).toContain('12 increments are left in hand-over files for the next start\n')
  expect(exitCode).toBe(0)
})

test('a service that does not say what waits is a clear error', async () => {
  const service = await bed.start()
  process.kill(service.pid, 'SIGSTOP')
  const { exitCode, output } = await verify()
  process.kill(service.pid, 'SIGCONT')
  expect(output).toMatch(/piccolo up did not say .* what waits in its queue.* \[queue_timeout\]/)
  expect(exitCode).toBe(69)
})

test('with Redis it counts what waits in the queue', async () => {
  const redis = await bed.startRedis()
  const service = await bed.start('--redis', redis.url)
  await service.increment('foo', 5)
  await service.hasTotals(new Map([['foo', '5']]))
  process.kill(service.children().get('piccolo consumer')!, 'SIGSTOP')
  const admin = redis.client()
  const elements = Array.from({ length: 70 }, (_, index) =>
    encodeBatch(batch({ producer: 7, sequence: index + 1 })),
  )
  const newer = encodeBatch(batch({ producer: 8, sequence: 1, increments: 30 })).replace('{"v":1', '{"v":99')
  const [producer] = bed.folder.sql('SELECT producer FROM producers').split('\n')
  const committed = elements[0]!.replace('00000007', producer!)
  await admin.rpush('piccolo:{0}:batches', 'garbage', ...elements, newer, committed)
  admin.disconnect()
  const { exitCode, output } = await verify('--redis', redis.url)
  process.kill(service.children().get('piccolo consumer')!, 'SIGCONT')
  expect(output).toMatch(/all producers.*applied 1, .*queued 100\n/)
  expect(exitCode).toBe(0)
})

test('no database, and no queue, are one clear line', async () => {
  expect(await verify()).toMatchObject({
    exitCode: 78,
    output: expect.stringMatching(/^.*there is no database.*\n$/),
  })
  const service = await bed.start()
  await service.stop()
  const { exitCode, output } = await verify('--redis', '/nowhere/redis.sock')
  expect(output).toMatch(/queue_unreachable/)
  expect(exitCode).toBe(69)
})

test('with --watch it looks again and again, until something is wrong', async () => {
  const service = await bed.start()
  await service.increment('foo', 5)
  await service.hasTotals(new Map([['foo', '5']]))
  const program = bed.use(new Program(['verify', '--database', bed.folder.database, '--watch']))
  await program.says(/adds up.*adds up/s)
  await service.stop()
  bed.folder.sql(`UPDATE numbers SET value = 6 WHERE key = 'foo'`)
  expect(await program.exited).toBe(1)
  expect(program.output).toMatch(/WRONG: the totals sum up to 6, applied were 5: \+1\n$/)
})
