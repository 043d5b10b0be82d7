import { beforeEach, expect, test } from 'vitest'
import type { RedisServer } from '../kit/redis-server.ts'
import { freePort, Program } from '../kit/service.ts'
import { TestBed } from '../kit/test-bed.ts'

// Stops that have little time, while Redis answers nothing.

const bed = new TestBed()
let redis: RedisServer
let port: number

beforeEach(async () => {
  redis = await bed.startRedis()
  port = await freePort()
})

async function start(...args: string[]): Promise<Program> {
  const shared = ['--redis', redis.url, '--database', bed.folder.database]
  const program = bed.use(new Program([...args, ...shared, '--stop-timeout-ms', '1000']))
  await program.says(args[0] === 'up' ? /"msg":"ready"/ : /"msg":"started"/)
  return program
}

async function increment(): Promise<number> {
  const body = new URLSearchParams({ key: 'foo', value: '1' })
  return (await fetch(`http://127.0.0.1:${port}/increment`, { method: 'POST', body })).status
}
const handovers = () => bed.folder.files().filter(name => name.endsWith('.handover'))

/** Waits until every process is in the middle of a call. */
async function hang(program: Program): Promise<void> {
  redis.signal('SIGSTOP')
  await program.says(/"code":"queue_(timeout|unreachable)"/)
}

test('a web process that holds nothing ends with 0', async () => {
  const web = await start('web', '--port', String(port))
  await hang(web)
  expect([await web.stop(), handovers()]).toEqual([0, []])
})

test('a web process that writes down what it holds, or is just delivering, ends with 0', async () => {
  const web = await start('web', '--port', String(port))
  expect(await increment()).toBe(200)
  await hang(web)
  expect([await web.stop(), handovers().length]).toEqual([0, 1])
  redis.signal('SIGCONT')
  const second = await start('web', '--port', String(port))
  await second.says(/taking over what another web process left/)
  await hang(second)
  expect([await second.stop(), handovers().length]).toEqual([0, 1])
})

test('a consumer ends with 0', async () => {
  const consumer = await start('consumer', '--consumer-port', '0')
  await hang(consumer)
  expect(await consumer.stop()).toBe(0)
})

test('everything together ends with 0', async () => {
  const up = await start('up', '--port', String(port), '--web-processes', '1')
  expect(await increment()).toBe(200)
  await hang(up)
  expect(await up.stop()).toBe(0)
})
