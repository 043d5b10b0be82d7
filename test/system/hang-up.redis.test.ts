import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { until } from '../kit/condition.ts'
import { RedisServer } from '../kit/redis-server.ts'
import { childrenOf, Folder, freePort, Program } from '../kit/service.ts'

// The signals of terminals and of npm: whoever hangs up, everything that was answered is counted.

vi.setConfig({ testTimeout: 120_000 })

const root = path.join(import.meta.dirname, '../..')
const incrementCount = 500
const seldom = ['--web-processes', '2', '--flush-interval-ms', '60000']

let folder: Folder
let port: number
/** Everything that was seen to run. */
const seen = new Set<number>()

beforeEach(async () => {
  folder = new Folder()
  port = await freePort()
})
afterEach(() => {
  // Ends what a test that was cut short left behind: below what it started, or orphaned.
  for (const pid of [...seen].flatMap(tree)) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
  seen.clear()
  folder[Symbol.dispose]()
})

/** Starts a command in a session of its own, with what it starts. */
function start(command: string, args: readonly string[], environment: Record<string, string> = {}) {
  const env = { ...process.env, PICCOLO_NODE: process.execPath, ...environment }
  const child = spawn(command, args, { cwd: root, env, stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  const ended = new Promise<number | null>(resolve => child.once('exit', resolve))
  seen.add(child.pid!)
  return { pid: child.pid!, ended }
}

const upArgs = () => ['up', '--port', String(port), '--database', folder.database, ...seldom]

async function isReady(): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    response => response.ok,
    () => false,
  )
}

async function count(): Promise<void> {
  await until('the service is ready', isReady)
  const post = () =>
    fetch(`http://127.0.0.1:${port}/increment`, {
      method: 'POST',
      body: new URLSearchParams({ key: 'foo', value: '1' }),
    }).then(response => response.status)
  const statuses = await Promise.all(Array.from({ length: incrementCount }, post))
  expect(new Set(statuses)).toEqual(new Set([200]))
}

/** One that is just starting, and has counted nothing, may be ended by any signal. */
async function everyProcessIsThere(): Promise<void> {
  const metrics = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  await until('the second web process has started', async () => /process="web 2"/.test(await metrics()))
}

/** A process and everything below it. */
function tree(pid: number): number[] {
  seen.add(pid)
  return [pid, ...childrenOf(pid).flatMap(child => tree(child.pid))]
}

async function everythingIsCountedAndGone(pids: readonly number[]): Promise<void> {
  await until('every process has ended', () => pids.every(pid => !isRunning(pid)))
  expect(folder.totals()).toEqual(new Map([['foo', String(incrementCount)]]))
  expect(folder.files().filter(name => name.endsWith('.handover'))).toEqual([])
}

/** Nobody may have asked how it ended. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** All that end a process unless it listens, but for those that say that it is broken. */
const harmless: readonly NodeJS.Signals[] = [
  ...(['SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGVTALRM', 'SIGPROF', 'SIGIO', 'SIGPIPE'] as const),
  ...(['SIGSTKFLT', 'SIGXFSZ', 'SIGURG', 'SIGWINCH', 'SIGCONT'] as const),
]
const stops = ['SIGHUP', 'SIGQUIT', 'SIGPWR', 'SIGXCPU'] as const

test.each(stops)(
  '%s to up stops it in order, and signals that mean something else do nothing',
  async signal => {
    const up = start('./piccolo', upArgs())
    await count()
    await everyProcessIsThere()
    const pids = tree(up.pid)
    for (const each of harmless) for (const pid of pids) process.kill(pid, each)
    for (const pid of pids.slice(1)) process.kill(pid, signal)
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200)
    expect(tree(up.pid)).toEqual(pids)
    process.kill(up.pid, signal)
    expect(await up.ended).toBe(0)
    await everythingIsCountedAndGone(pids)
  },
)

test('a stop is not cut short by further signals, whatever they are', async () => {
  const up = start('./piccolo', upArgs())
  await count()
  await everyProcessIsThere()
  const pids = tree(up.pid)
  const signals = ['SIGTERM', 'SIGINT', ...stops, ...harmless] as const
  for (let round = 0; round < 10; round++) for (const signal of signals) process.kill(-up.pid, signal)
  expect(await up.ended).toBe(0)
  await everythingIsCountedAndGone(pids)
})

test('a terminal that is closed takes nothing with it', async () => {
  const line = [process.execPath, 'cli/main.ts', ...upArgs()].join(' ')
  const terminal = start('script', ['--quiet', '--flush', '--command', `exec ${line}`, '/dev/null'])
  await count()
  const pids = tree(terminal.pid)
  expect(pids.length).toBeGreaterThan(4)
  process.kill(terminal.pid, 'SIGKILL')
  await everythingIsCountedAndGone(pids)
})

test.each(stops)(
  '%s stops a web process and a consumer on their own in order, and no other',
  async signal => {
    await using redis = await RedisServer.start()
    const shared = ['--redis', redis.url, '--database', folder.database]
    await using consumer = new Program(['consumer', '--consumer-port', '0', ...shared])
    await using web = new Program(['web', '--port', String(port), '--flush-interval-ms', '60000', ...shared])
    await consumer.says(/"msg":"started"/)
    await count()
    for (const each of harmless) for (const program of [web, consumer]) program.signal(each)
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200)
    expect(await web.stop(signal)).toBe(0)
    expect(await consumer.stop(signal)).toBe(0)
    expect(web.output + consumer.output).not.toMatch(/inspector|Debugger/)
    await everythingIsCountedAndGone([])
  },
)

test('under nohup a hang-up is ignored, by every process', async () => {
  const up = start('nohup', ['./piccolo', ...upArgs()])
  await count()
  const pids = tree(up.pid)
  for (let round = 0; round < 3; round++) for (const pid of pids) process.kill(pid, 'SIGHUP')
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200)
  expect(tree(up.pid)).toEqual(pids)
  process.kill(up.pid, 'SIGTERM')
  expect(await up.ended).toBe(0)
  await everythingIsCountedAndGone(pids)
})

const npms: Record<string, readonly string[]> = {
  'the npm in PATH': ['npm'],
  'the npm that was fetched': [
    process.execPath,
    path.join(root, '.node/fetched/node_modules/npm/bin/npm-cli.js'),
  ],
}

test.for(Object.keys(npms))('npm start, with %s, ends with what it started', async (name, context) => {
  const [command, ...args] = npms[name]!
  if (spawnSync(command!, [...args, '--version']).status !== 0) context.skip(`there is no ${name}`)
  // Ctrl-C reaches the service twice: from the terminal, and through npm.
  for (const [signal, isToAll] of [
    ['SIGTERM', false],
    ['SIGINT', true],
    ['SIGHUP', true],
  ] as const) {
    const service = start(command!, [...args, 'start', '--', ...upArgs().slice(1)])
    await count()
    const pids = tree(service.pid)
    process.kill(isToAll ? -service.pid : service.pid, signal)
    await everythingIsCountedAndGone(pids)
    folder.sql('DELETE FROM numbers')
  }
})
