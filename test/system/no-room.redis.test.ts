import { execFileSync } from 'node:child_process'
import { beforeEach, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import type { RedisServer } from '../kit/redis-server.ts'
import { freePort, type Limits, Program } from '../kit/service.ts'
import { TestBed } from '../kit/test-bed.ts'

// Increments that a stop cannot hand on have to be written down, where files may not be large: `ulimit -f`.

/** Keys that make a batch of some 90 KB. */
const batchKeys = 10_000

const bed = new TestBed()
let redis: RedisServer
let port: number

beforeEach(async () => {
  redis = await bed.startRedis()
  port = await freePort()
})

async function start(limits: Limits, ...args: string[]): Promise<Program> {
  const all = [...args, '--redis', redis.url, '--database', bed.folder.database, '--stop-timeout-ms', '2000']
  const program = bed.use(new Program(all, { TMPDIR: bed.folder.path }, 'pipe', limits))
  await program.says(args[0] === 'up' ? /"msg":"ready"/ : /"msg":"started"/)
  return program
}
const startWeb = (limits: Limits = {}) => start(limits, 'web', '--port', String(port))

async function count(keyCount: number): Promise<void> {
  const increments = Array.from({ length: keyCount }, (_, index) => ({ key: `${index}`, value: 1 }))
  const response = await fetch(`http://127.0.0.1:${port}/increment`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(increments),
  })
  expect(response.status).toBe(200)
}

const handovers = () => bed.folder.files().filter(name => name.endsWith('.handover'))

/** The line in which it says that batches are lost. */
const losses = (program: Program) =>
  program.output.split('\n').filter(line => line.includes('"code":"handover_unwritable"'))

test('batches too large for one file are divided, and all of them are delivered', async () => {
  const web = await startWeb({ fileBytesMax: 120_000 })
  await redis.kill()
  await count(2.5 * batchKeys)
  expect(await web.stop()).toBe(0)
  expect(handovers().length).toBeGreaterThan(1)
  await redis.start()
  await startWeb()
  await start({}, 'consumer', '--consumer-port', '0')
  await until('all is at home', () => handovers().length === 0)
  expect(bed.folder.sql('SELECT count(*), sum(value) FROM numbers')).toBe('25000|25000')
  expect(bed.folder.sql('SELECT sum(lost) FROM producers')).toBe('0')
})

test('a web process that can write it nowhere says so in one line, and ends with 69', async () => {
  const web = await startWeb({ fileBytesMax: 1_000 })
  await redis.kill()
  await count(batchKeys)
  expect([await web.stop(), handovers()]).toEqual([69, []])
  expect(losses(web).map(line => JSON.parse(line))).toMatchObject([
    { increments: batchKeys, hint: expect.stringContaining('ulimit -f') },
  ])
})

test('so does a service with such a web process', async () => {
  const up = await start({}, 'up', '--port', String(port), '--web-processes', '1')
  execFileSync('prlimit', ['--pid', String(up.children().get('piccolo web 1')), '--fsize=1000:'])
  await redis.kill()
  await count(batchKeys)
  expect([await up.stop(), handovers()]).toEqual([69, []])
  expect(losses(up)).toHaveLength(1)
})

test('so does a service with an embedded queue', async () => {
  const all = ['up', '--port', String(port), '--web-processes', '1', '--database', bed.folder.database]
  const up = bed.use(new Program([...all, '--stop-timeout-ms', '2000'], { TMPDIR: bed.folder.path }))
  await up.says(/"msg":"ready"/)
  process.kill(up.children().get('piccolo consumer')!, 'SIGSTOP')
  await count(batchKeys)
  for (const pid of [up.pid, up.children().get('piccolo web 1')!])
    execFileSync('prlimit', ['--pid', String(pid), '--fsize=1000:'])
  expect([await up.stop(), handovers()]).toEqual([69, []])
  expect(new Set(losses(up).map(line => JSON.parse(line).hint))).toEqual(
    new Set([expect.stringContaining('ulimit -f')]),
  )
})
