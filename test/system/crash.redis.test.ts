import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { encodeBatch } from '../../batch/writer.ts'
import { batch } from '../kit/builders.ts'
import { until } from '../kit/condition.ts'
import { Load, type Sent } from '../kit/load.ts'
import { RedisServer } from '../kit/redis-server.ts'
import { Folder, freePort, isAlive, Program, Service } from '../kit/service.ts'

let folder: Folder
let redis: RedisServer | null
let cleanUps: (() => Promise<unknown>)[]

beforeEach(() => {
  folder = new Folder()
  redis = null
  cleanUps = []
})
afterEach(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp()
  folder[Symbol.dispose]()
})

async function startRedis(...args: string[]): Promise<RedisServer> {
  const server = await RedisServer.start(...args)
  cleanUps.push(() => server[Symbol.asyncDispose]())
  redis = server
  return server
}
async function up(...args: string[]): Promise<Service> {
  const service = await Service.start(folder, ...(redis ? ['--redis', redis.url] : []), ...args)
  cleanUps.push(() => service[Symbol.asyncDispose]())
  return service
}
function load(service: Service): Load {
  const running = new Load(service.url)
  cleanUps.push(() => running.stop())
  return running
}
function client(server: RedisServer) {
  const admin = server.client()
  cleanUps.push(async () => admin.disconnect())
  return admin
}
const accepted = (running: Load, count: number) =>
  until(`${count} increments were accepted`, () => running.acceptedCount >= count)
const isAccepted = ({ fate }: Sent) => fate === 'accepted'
const kill = (service: Service, title: string, signal: NodeJS.Signals = 'SIGKILL') =>
  process.kill(service.children().get(title)!, signal)
async function restarted(service: Service, title: string, before: number): Promise<void> {
  await until(`${title} runs again`, () => (service.children().get(title) ?? before) !== before)
}

/** The ledger agrees with the totals: every increment here has the value 1. */
function ledger(): { applied: number; lost: number; sealed: number; total: number } {
  const row =
    folder.sql(`SELECT json_object('applied', sum(applied), 'lost', sum(lost), 'sealed', sum(sealed),
    'total', (SELECT sum(value) FROM numbers)) FROM producers`)
  return JSON.parse(row)
}

describe.each(['the embedded queue', 'Redis'])('on %s', queue => {
  beforeEach(async () => {
    if (queue === 'Redis') await startRedis()
  })

  test('a consumer that is killed at any moment makes no total wrong', async () => {
    const service = await up()
    const running = load(service)
    for (let round = 1; round <= 4; round++) {
      await accepted(running, running.acceptedCount + 100 + Math.random() * 100)
      const consumer = service.children().get('piccolo consumer')!
      process.kill(consumer, 'SIGKILL')
      await restarted(service, 'piccolo consumer', consumer)
    }
    await running.stop()
    await service.hasTotals(running.expectedTotals())
    expect(ledger().lost).toBe(0)
    await service.says(/a process ended and is started again/)
  })

  test('a web process that is killed after its batch was pushed loses nothing', async () => {
    const service = await up('--web-processes', '1')
    kill(service, 'piccolo consumer', 'SIGSTOP')
    for (let index = 0; index < 50; index++) expect(await service.increment(`key ${index}`, 1)).toBe(200)
    await until('all is sealed and pushed', async () => {
      const text = await (await fetch(`${service.url}/metrics`)).text()
      return (
        /^piccolo_keys_waiting\{.*\} 0$/m.test(text) && !/^piccolo_batches_unconfirmed\{.*\} 0$/m.test(text)
      )
    })
    // One more round trip to the queue has ended, so the push before it has, too.
    await until('the push was answered', async () => (await service.increment('key 0', 0)) === 200)
    const web = service.children().get('piccolo web 1')!
    process.kill(web, 'SIGKILL')
    kill(service, 'piccolo consumer', 'SIGCONT')
    const expected = new Map(Array.from({ length: 50 }, (_, index) => [`key ${index}`, '1']))
    await service.hasTotals(expected)
  })

  test('a web process that is killed at any moment loses at most what was not yet sealed, and nothing counts twice', async () => {
    const service = await up('--web-processes', '2')
    const running = load(service)
    /** Keys not yet in the database, or sent later, while a web process ran that was then killed. */
    const atRisk = new Set<string>()
    for (let round = 1; round <= 4; round++) {
      await accepted(running, running.acceptedCount + 100 + Math.random() * 100)
      const safe = new Set(running.sent.filter(isAccepted).map(({ key }) => key))
      await until('what was accepted is in the database', () => {
        const totals = folder.totals()
        return [...safe].every(key => totals.has(key) || atRisk.has(key))
      })
      const title = `piccolo web ${1 + (round % 2)}`
      const web = service.children().get(title)!
      process.kill(web, 'SIGKILL')
      await restarted(service, title, web)
      for (const { key } of running.sent) if (!safe.has(key)) atRisk.add(key)
    }
    await running.stop()
    const last = running.sent.findLast(isAccepted)!
    await until('the last increment is counted', () => folder.totals().has(last.key))
    const totals = folder.totals()
    expect([...totals.values()].every(total => total === '1')).toBe(true)
    for (const { key } of running.sent.filter(isAccepted))
      expect(totals.has(key) || atRisk.has(key), key).toBe(true)
    const { applied, sealed, lost, total } = ledger()
    expect({ applied, sealed, lost }).toEqual({ applied: total, sealed: total, lost: 0 })
  })
})

describe('on the embedded queue', () => {
  test('when the parent is killed, its web processes hand over, and the next start counts everything', async () => {
    const first = await up('--web-processes', '2')
    const running = load(first)
    await accepted(running, 200)
    kill(first, 'piccolo consumer', 'SIGSTOP')
    await accepted(running, 400)
    const children = [...first.children().values()]
    first.signal('SIGKILL')
    for (const pid of children) process.kill(pid, 'SIGCONT')
    await running.stop()
    await until('the children ended', () => children.every(pid => !isAlive(pid)))
    await until('the log says why', () => first.output.includes('queue_gone'))
    const second = await up()
    const unknown = running.sent.filter(each => each.fate === 'unknown').map(each => each.key)
    await until('everything accepted is counted', () => {
      const totals = folder.totals()
      return running.sent.every(({ key, fate }) => fate !== 'accepted' || totals.get(key) === '1')
    })
    const totals = folder.totals()
    for (const key of unknown) expect([undefined, '1']).toContain(totals.get(key))
    expect([...totals.values()].every(total => total === '1')).toBe(true)
    await second.says(/what another web process left is in the store/)
  })

  test('batches that a killed web process had pushed survive a stop while nothing can be committed', async () => {
    const first = await up('--web-processes', '1', '--stop-timeout-ms', '2000')
    expect(await first.increment('foo', 1)).toBe(200)
    await first.hasTotals(new Map([['foo', '1']]))
    const locker = new Sqlite(folder.database)
    locker.exec('BEGIN IMMEDIATE')
    expect(await first.increment('foo', 2)).toBe(200)
    await first.says(/store_busy/)
    kill(first, 'piccolo web 1')
    await first.stop()
    locker.close()
    const second = await up()
    await second.hasTotals(new Map([['foo', '3']]))
  })

  test('with no room in the state directory, batches that a killed web process had pushed are left beside the database', async () => {
    writeFileSync(join(folder.path, 'full'), '')
    const state = ['--state-dir', join(folder.path, 'full', 'state')]
    const first = await up('--web-processes', '1', ...state)
    const locker = new Sqlite(folder.database)
    locker.exec('BEGIN IMMEDIATE')
    const body = new URLSearchParams({ key: 'foo', value: '2' })
    const answer = await fetch(`${first.url}/increment?ack=queued`, { method: 'POST', body })
    expect(await answer.json()).toMatchObject({ ack: 'queued' })
    await first.says(/store_busy/)
    kill(first, 'piccolo web 1')
    await first.says(/is started again/)
    expect(await first.stop(), first.output).toBe(0)
    locker.close()
    expect(first.output).not.toMatch(/^ +at /m)
    const second = await up(...state)
    await second.hasTotals(new Map([['foo', '2']]))
  })

  test('a web process that cannot list the state directory counts, and says so', async () => {
    const state = join(folder.path, 'state')
    writeFileSync(state, '')
    symlinkSync(state, join(folder.path, 'loop'))
    rmSync(state)
    symlinkSync(join(folder.path, 'loop'), state)
    const service = await up('--web-processes', '1', '--state-dir', state)
    expect(await service.increment('foo', 5)).toBe(200)
    await service.hasTotals(new Map([['foo', '5']]))
    await until('readiness says so', async () => {
      const readiness = (await (await fetch(`${service.url}/readyz`)).json()) as { reasons: string[] }
      return readiness.reasons.includes('hand-over files cannot be listed: handover_unreadable')
    })
    rmSync(state)
    await until('it is over', async () => (await fetch(`${service.url}/readyz`)).ok)
    expect(await service.stop()).toBe(0)
  })

  test('a file that a web process leaves while others run is delivered by them', async () => {
    const service = await up('--web-processes', '1')
    const element = encodeBatch(batch({ producer: 9, sequence: 1, sums: { foo: 5 } }))
    folder.handOver(9, [element])
    await service.hasTotals(new Map([['foo', '5']]))
    await until('the file is gone', () => !folder.files().some(name => name.endsWith('.handover')))
  })
})

describe('on Redis', () => {
  test('a slow Redis does not keep a stopping service from writing down what it holds', async () => {
    const server = await startRedis()
    const first = await up('--web-processes', '1', '--stop-timeout-ms', '2000')
    expect(await first.increment('foo', 1)).toBe(200)
    await first.hasTotals(new Map([['foo', '1']]))
    server.signal('SIGSTOP')
    for (let index = 0; index < 20; index++) expect(await first.increment(`key ${index}`, 1)).toBe(200)
    await first.stop()
    server.signal('SIGCONT')
    const second = await up()
    const expected = new Map(Array.from({ length: 20 }, (_, index) => [`key ${index}`, '1']))
    await second.hasTotals(expected.set('foo', '1'))
  })

  test('Redis that is killed and comes back with its data makes no total wrong', async () => {
    const server = await startRedis('--appendonly', 'yes', '--appendfsync', 'everysec')
    await redisIsKilled(server)
  })

  test('Redis that is killed and comes back empty makes no total wrong', async () => {
    await redisIsKilled(await startRedis())
  })

  async function redisIsKilled(server: RedisServer): Promise<void> {
    const service = await up('--web-processes', '2')
    const running = load(service)
    for (let round = 1; round <= 3; round++) {
      await accepted(running, running.acceptedCount + 100 + Math.random() * 100)
      // A stopped consumer makes sure that there is something in Redis to be lost.
      if (round === 2) kill(service, 'piccolo consumer', 'SIGSTOP')
      await accepted(running, running.acceptedCount + 50)
      await server.kill()
      await accepted(running, running.acceptedCount + 50)
      await server.start()
      if (round === 2) kill(service, 'piccolo consumer', 'SIGCONT')
    }
    await running.stop()
    await service.hasTotals(running.expectedTotals())
    expect(ledger().lost).toBe(0)
  }

  test('FLUSHALL, again and again, makes no total wrong', async () => {
    const server = await startRedis()
    const service = await up('--web-processes', '2')
    const admin = client(server)
    const running = load(service)
    for (let round = 1; round <= 10; round++) {
      await accepted(running, running.acceptedCount + 40)
      await admin.flushall()
    }
    await running.stop()
    await service.hasTotals(running.expectedTotals())
    expect(ledger().lost).toBe(0)
  })

  test('Redis that hangs makes no total wrong, and readiness tells of it', async () => {
    const server = await startRedis()
    const service = await up()
    const running = load(service)
    await accepted(running, 100)
    server.signal('SIGSTOP')
    await until('readiness fails', async () => (await fetch(`${service.url}/readyz`)).status === 503)
    await service.says(/"code":"queue_timeout"/)
    await accepted(running, running.acceptedCount + 100)
    server.signal('SIGCONT')
    await until('readiness is back', async () => (await fetch(`${service.url}/readyz`)).status === 200)
    await running.stop()
    await service.hasTotals(running.expectedTotals())
  })

  test('while Redis is away increments are taken up to the bound of keys, then refused, then taken again', async () => {
    const server = await startRedis()
    const service = await up('--web-processes', '1', '--keys-max', '1000')
    await server.kill()
    const expected = new Map<string, string>()
    // One batch may have been sealed before the queue was found to be away: its keys wait elsewhere.
    for (let index = 0; index <= 2_000; index++) {
      if ((await service.increment(`key ${index}`, 1)) !== 200) break
      expected.set(`key ${index}`, '1')
    }
    expect(expected.size).toBeGreaterThanOrEqual(1_000)
    const refused = await fetch(`${service.url}/increment`, {
      method: 'POST',
      body: new URLSearchParams('key=one+more&value=1'),
    })
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await refused.json()).toMatchObject({ code: 'memory_full' })
    // A known key needs no memory.
    const known = [...expected.keys()].at(-1)!
    expect(await service.increment(known, 1)).toBe(200)
    expected.set(known, '2')
    await server.start()
    await until('new keys are taken again', async () => (await service.increment('at last', 1)) === 200)
    await service.hasTotals(expected.set('at last', '1'))
  })

  test('batches that a stopping service cannot push wait in a file for the next start', async () => {
    const server = await startRedis()
    const first = await up('--stop-timeout-ms', '2000')
    expect(await first.increment('foo', 1)).toBe(200)
    await first.hasTotals(new Map([['foo', '1']]))
    await server.kill()
    expect(await first.increment('foo', 2)).toBe(200)
    await first.stop()
    expect(first.output).toContain('left for the next start')
    await server.start()
    const second = await up()
    expect(await second.increment('foo', 4)).toBe(200)
    await second.hasTotals(new Map([['foo', '7']]))
    await until('the file is gone', () => !folder.files().some(name => name.endsWith('.handover')))
  })

  test('a producer that died while Redis lost its batch blocks nobody, and the ledger says what was lost', async () => {
    const server = await startRedis()
    const service = await up('--web-processes', '1', '--producer-gone-after-ms', '5000')
    const admin = client(server)
    kill(service, 'piccolo consumer', 'SIGSTOP')
    for (const [index, value] of [1, 10, 100].entries()) {
      expect(await service.increment('foo', value)).toBe(200)
      await until('it is in Redis', async () => (await admin.llen('piccolo:{0}:batches')) === index + 1)
    }
    kill(service, 'piccolo web 1')
    await admin.lpop('piccolo:{0}:batches')
    kill(service, 'piccolo consumer', 'SIGCONT')
    await until('the rest is counted', () => folder.totals().get('foo') === '110')
    const row = folder.sql('SELECT sealed, applied, lost FROM producers WHERE lost > 0')
    expect(row).toBe('3|2|1')
    await service.says(/"code":"increments_lost".*increments lost/)
    await until('the list is empty', async () => (await admin.llen('piccolo:{0}:batches')) === 0)
  })

  test('a batch that vanishes from Redis while its producer lives is sent again', async () => {
    const server = await startRedis()
    const service = await up('--web-processes', '1')
    const admin = client(server)
    kill(service, 'piccolo consumer', 'SIGSTOP')
    for (const [index, value] of [1, 10, 100].entries()) {
      expect(await service.increment('foo', value)).toBe(200)
      await until('it is in Redis', async () => (await admin.llen('piccolo:{0}:batches')) === index + 1)
    }
    await admin.lpop('piccolo:{0}:batches')
    kill(service, 'piccolo consumer', 'SIGCONT')
    await service.hasTotals(new Map([['foo', '111']]))
    expect(ledger().lost).toBe(0)
  })

  test('an element that is no batch is kept for the operator and blocks nobody', async () => {
    const server = await startRedis()
    const service = await up()
    const admin = client(server)
    const good = encodeBatch(batch({ producer: 9, sequence: 1, sums: { foo: 5 } }))
    await admin.rpush('piccolo:{0}:batches', 'garbage', '00000001 1 {"v":1}', good, '00000002 1 {')
    await service.hasTotals(new Map([['foo', '5']]))
    await until('the list is empty', async () => (await admin.llen('piccolo:{0}:batches')) === 0)
    expect(folder.sql('SELECT count(*) FROM rejected_elements')).toBe('3')
  })

  test('a batch of a later version waits, with what is behind it, for a consumer that knows it', async () => {
    const server = await startRedis()
    const service = await up('--web-processes', '1')
    const admin = client(server)
    const newer = encodeBatch(batch({ producer: 9, sequence: 1 })).replace('"v":1', '"v":3')
    const before = encodeBatch(batch({ producer: 8, sequence: 1, sums: { foo: 5 } }))
    await admin.rpush('piccolo:{0}:batches', before, newer)
    await service.hasTotals(new Map([['foo', '5']]))
    await service.says(/"code":"batch_newer"/)
    expect(await admin.lindex('piccolo:{0}:batches', 0)).toBe(newer)
    expect(folder.sql('SELECT count(*) FROM rejected_elements')).toBe('0')
    await admin.lpop('piccolo:{0}:batches')
    expect(await service.increment('foo', 1)).toBe(200)
    await service.hasTotals(new Map([['foo', '6']]))
  })

  test('Redis that may evict is refused at the start', async () => {
    const server = await startRedis('--maxmemory-policy', 'allkeys-lru')
    const program = new Program(['web', '--port', String(await freePort()), '--redis', server.url])
    cleanUps.push(() => program[Symbol.asyncDispose]())
    expect(await program.exited).toBe(78)
    expect(program.output).toMatch(/maxmemory-policy allkeys-lru .*noeviction/)
  })

  test('a full Redis loses nothing, and is emptied once the consumer runs', async () => {
    const server = await startRedis()
    const service = await up('--web-processes', '1')
    const admin = client(server)
    const running = load(service)
    await accepted(running, 100)
    await admin.config('SET', 'maxmemory', '1')
    await until('readiness tells of it', async () =>
      /queue_full/.test(await (await fetch(`${service.url}/readyz`)).text()),
    )
    await accepted(running, running.acceptedCount + 100)
    await admin.config('SET', 'maxmemory', '0')
    await running.stop()
    await service.hasTotals(running.expectedTotals())
  })

  test('a queue of another database is refused', async () => {
    await startRedis()
    const first = await up()
    await first.stop()
    folder.sql('.quit')
    const program = new Program([
      'consumer',
      '--consumer-port',
      '0',
      '--redis',
      redis!.url,
      '--database',
      `${folder.path}/other.db`,
    ])
    cleanUps.push(() => program[Symbol.asyncDispose]())
    expect(await program.exited).toBe(78)
    expect(program.output).toMatch(/belongs to the store .*\[queue_foreign\]/)
  })

  test('a database that is older than what was confirmed is refused until the operator accepts the loss', async () => {
    await startRedis()
    const first = await up()
    expect(await first.increment('foo', 1)).toBe(200)
    await first.hasTotals(new Map([['foo', '1']]))
    await first.stop()
    folder.sql(`.backup ${folder.path}/backup.db`)
    const second = await up()
    expect(await second.increment('foo', 10)).toBe(200)
    await second.hasTotals(new Map([['foo', '11']]))
    await second.stop()
    const old = (...args: string[]) => {
      const base = ['consumer', '--consumer-port', '0', '--redis', redis!.url]
      const program = new Program([...base, '--database', `${folder.path}/backup.db`, ...args])
      cleanUps.push(() => program[Symbol.asyncDispose]())
      return program
    }
    const refused = old()
    expect(await refused.exited).toBe(78)
    expect(refused.output).toMatch(/lacks 1 batches of 1 producers .*--accept-older-store/)
    const taken = old('--accept-older-store')
    await taken.says(/"msg":"started"/)
    expect(await taken.stop()).toBe(0)
  })
})
