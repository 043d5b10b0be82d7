import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect, type TestContext, test } from 'vitest'
import { bodiesBytesMax } from '../../apps/web/http/request-body.ts'
import { connectionBytesMax, nativeBytesMax } from '../../apps/web/native-memory.ts'
import { webOptions } from '../../intake/options.ts'
import { unreadBytesMax } from '../../apps/web/write-buffers.ts'
import { serviceOptions } from '../../lib/config/service-options.ts'
import { until } from '../kit/condition.ts'
import { cleanUp, configuration, installed, readUnit, startUnit, unitProcess, units } from './installation.ts'
import { RedisServer } from '../kit/redis-server.ts'
import { freePort } from '../kit/service.ts'

// The units as install/main.sh installs them: judged by systemd, and run as systemd would.

let root: string
beforeAll(() => {
  root = installed()
})
afterAll(cleanUp)

test('systemd finds no fault with the units', context => {
  needs(context, 'systemd-analyze', 240)
  const run = analyze(
    'verify',
    '--man=no',
    'piccolo.target',
    'piccolo-consumer.service',
    'piccolo-web@1.service',
  )
  expect(run.stderr).toBe('')
  expect(run.status).toBe(0)
})

test('systemd calls the exposure of the units low', context => {
  needs(context, 'systemd-analyze', 250)
  for (const unit of ['piccolo-consumer.service', 'piccolo-web@1.service']) {
    const run = analyze('security', '--offline=true', '--threshold=20', '--no-pager', unit)
    expect(run.stdout + run.stderr).toContain('OK')
    expect(run.status).toBe(0)
  }
})

test.each(['consumer', 'web'])('the unit of the %s restarts for ever, drains, and lets V8 work', role => {
  const unit = readUnit(root, role)
  const stopTimeoutS = Number(serviceOptions.stopTimeoutMs.fallback) / 1000
  expect(unit.get('Restart')).toEqual(['always'])
  expect(unit.get('StartLimitIntervalSec')).toEqual(['0'])
  expect(unit.get('RestartPreventExitStatus')).toEqual(['64 78'])
  expect(Number(unit.get('TimeoutStopSec')![0])).toBeGreaterThan(stopTimeoutS)
  expect(unit.get('KillMode')).toEqual(['mixed'])
  expect(unit.get('PartOf')).toEqual(['piccolo.target'])
  expect(unit.has('MemoryDenyWriteExecute')).toBe(false)
  expect(unit.get('ReadWritePaths')).toEqual([path.join(root, 'var/local/piccolo-daimao')])
  // PrivateTmp makes the folder for temporary files unfit for what a stop leaves.
  expect(unit.get('StateDirectory')).toEqual(['piccolo-daimao'])
  expect(unitProcess(root, role).env.PICCOLO_STATE_DIR).toBe(path.join(root, 'var/lib/piccolo-daimao'))
  expect(unitProcess(root, role).env.NODE_OPTIONS).toMatch(/--max-old-space-size=\d+/)
})

test.each([
  ['consumer', 2],
  ['web', 2],
])('the unit of the %s has a bound on its memory that its own limits fit into', (role, heaps) => {
  const mebibyte = 1024 * 1024
  const heapMib = Number(/--max-old-space-size=(\d+)/.exec(unitProcess(root, role).env.NODE_OPTIONS!)![1])
  const max = /^(\d+)G$/.exec(readUnit(root, role).get('MemoryMax')![0]!)!
  const restMib = 150
  const clientsBytes =
    bodiesBytesMax(Number(webOptions.bodyBytesMax.fallback)) +
    nativeBytesMax +
    2 * unreadBytesMax +
    Number(webOptions.connectionsMax.fallback) * connectionBytesMax
  const clientsMib = role === 'web' ? clientsBytes / mebibyte : 0
  expect(Number(max[1]) * 1024).toBeGreaterThan(restMib + heaps * heapMib + clientsMib)
})

test('web processes start after the consumer, so that they stop before it', () => {
  expect(readUnit(root, 'web').get('After')).toContain('piccolo-consumer.service')
})

test('the installed service counts, and loses nothing when it is stopped', async () => {
  await using redis = await RedisServer.start()
  const [port, consumerPort] = [await freePort(), await freePort()]
  // So seldom a flush that what comes last leaves by the drain or not at all.
  const settings = { PORT: port, CONSUMER_PORT: consumerPort, REDIS: redis.url, FLUSH_INTERVAL_MS: 2000 }
  const lines = Object.entries({ ...settings, HOST: '127.0.0.1' }).map(
    ([name, value]) => `PICCOLO_${name}=${value}\n`,
  )
  fs.appendFileSync(path.join(root, configuration), lines.join(''))
  const command = (...args: string[]) =>
    spawnSync(path.join(root, 'usr/local/bin/piccolo'), args, { encoding: 'utf8' })
  const increment = (value: number) =>
    fetch(`http://127.0.0.1:${port}/increment`, {
      method: 'POST',
      body: new URLSearchParams({ key: 'foo', value: `${value}` }),
    })
  const database = path.join(root, 'var/local/piccolo-daimao/sqlite/numbers.db')
  const total = () =>
    execFileSync('sqlite3', ['-readonly', database, "SELECT value FROM numbers WHERE key='foo'"], {
      encoding: 'utf8',
    }).trim()

  const consumer = startUnit(root, 'consumer')
  const web = startUnit(root, 'web')
  for (const asked of [port, consumerPort])
    await until('the service is ready', () => command('health', '--port', `${asked}`).status === 0)
  expect((await increment(5)).status).toBe(200)
  await until('the total is in the database', () => total() === '5')
  expect(command('total', 'foo').stdout).toBe('5\n')

  // systemd's order, and no pause: what is still in memory has to go the whole way.
  expect((await increment(-7)).status).toBe(200)
  expect(await web.stop(), web.output()).toBe(0)
  expect(await consumer.stop(), consumer.output()).toBe(0)
  expect(total()).toBe('-2')
})

function needs(context: TestContext, tool: string, version: number): void {
  const run = spawnSync(tool, ['--version'], { encoding: 'utf8' })
  const found = run.error ? 0 : Number(/\d+/.exec(run.stdout)?.[0])
  if (found < version) context.skip(`needs ${tool} ${version}, there is ${found === 0 ? 'none' : found}`)
}

function analyze(verb: string, ...args: string[]) {
  const files = args.map(arg => (arg.startsWith('-') ? arg : path.join(root, units, arg)))
  return spawnSync('systemd-analyze', [verb, ...files], { encoding: 'utf8' })
}
