import assert from 'node:assert'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { type Driven, type DriverOptions, incrementsOf, linesPerBody } from './batch-driver.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const nodeArgs = ['--disable-warning=ExperimentalWarning']
const canPin = availableParallelism() > 1
const [webCore, otherCore] = ['0', '1']

export interface Batches {
  readonly keyCount: number
  readonly incrementsPerSecond: number
  /** Processor time of the web process, as the kernel counts it. */
  readonly cpuNanosecondsPerIncrement: number
  /** Share of a core that the web process had while it was driven. */
  readonly webCoreShare: number
}

/**
 * NDJSON bodies of 1,000 lines, end to end into one web process with a core of its own; the driver, the
 * consumer and the parent share another one. Afterwards every total in the database has to be right.
 */
export async function measureBatches(options: Omit<DriverOptions, 'port'>): Promise<Batches> {
  const folder = mkdtempSync(join(tmpdir(), 'piccolo-batches-'))
  const database = join(folder, 'numbers.db')
  const port = 28_411
  const up = spawn(
    process.execPath,
    [...nodeArgs, 'cli/main.ts', 'up', `--port=${port}`, `--database=${database}`, '--web-processes=1'],
    { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  try {
    await ready(up)
    const web = webPid(up.pid!)
    if (canPin) {
      for (const pid of [up.pid!, ...childrenOf(up.pid!)]) pin(pid, otherCore)
      pin(web, webCore)
    }
    // To warm up; it counts for the totals all the same.
    const warmUp = await drive({ ...options, port, durationMs: 2_000 })
    const before = cpuNanosecondsOf(web)
    const driven = await drive({ ...options, port })
    const cpuNanoseconds = cpuNanosecondsOf(web) - before
    await stop(up)
    checkTotals(database, options.keyCount, [warmUp, driven])
    const increments = driven.answered.reduce((sum, each) => sum + each, 0) * linesPerBody
    return {
      keyCount: options.keyCount,
      incrementsPerSecond: (increments * 1_000) / driven.elapsedMs,
      cpuNanosecondsPerIncrement: cpuNanoseconds / increments,
      webCoreShare: cpuNanoseconds / 1e6 / driven.elapsedMs,
    }
  } finally {
    await stop(up)
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The driver as a process of its own. */
async function drive(options: DriverOptions): Promise<Driven> {
  const command = [process.execPath, ...nodeArgs, 'bench/batch-driver.ts', JSON.stringify(options)]
  const [program, ...args] = canPin ? ['taskset', '-c', otherCore, ...command] : command
  const driver = spawn(program!, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  const output = text(driver.stdout)
  const [code] = await once(driver, 'exit')
  if (code !== 0) throw new Error(`the driver ended with ${code}`)
  return JSON.parse(await output)
}

/** Every key, and every increment: a total that is wrong by one is wrong. */
function checkTotals(database: string, keyCount: number, runs: readonly Driven[]): void {
  const expected = new Map<string, number>()
  for (const [body, count] of runs[0]!.answered.entries()) {
    const answeredCount = count + runs[1]!.answered[body]!
    for (const { key, value } of incrementsOf(body, keyCount))
      expected.set(key, (expected.get(key) ?? 0) + answeredCount * value)
  }
  const rows = execFileSync('sqlite3', [database, 'SELECT key, value FROM numbers'], {
    encoding: 'utf8',
    maxBuffer: 1e9,
  })
  const totals = rows
    .trim()
    .split('\n')
    .map(row => row.split('|'))
  assert.equal(totals.length, expected.size, 'the number of keys')
  for (const [key, value] of totals) assert.equal(Number(value), expected.get(key!), `the total of ${key}`)
}

function ready(up: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    up.stdout!.on('data', chunk => String(chunk).includes('"ready"') && resolve())
    up.once('exit', code => reject(new Error(`the service ended with ${code} at its start`)))
  })
}

async function stop(up: ChildProcess): Promise<void> {
  if (up.exitCode !== null || up.signalCode !== null) return
  up.kill('SIGTERM')
  await once(up, 'exit')
}

function childrenOf(parent: number): number[] {
  const pids = execFileSync('pgrep', ['-P', String(parent)], { encoding: 'utf8' })
  return pids.trim().split('\n').map(Number)
}

function webPid(parent: number): number {
  return Number(execFileSync('pgrep', ['-P', String(parent), '-f', 'piccolo web 1'], { encoding: 'utf8' }))
}

function pin(pid: number, core: string): void {
  execFileSync('taskset', ['-a', '-p', '-c', core, String(pid)])
}

/** Of all threads, to the nanosecond. */
function cpuNanosecondsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  const times = threads.map(thread => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1'))
  return times.reduce((sum, each) => sum + Number(each.split(' ')[0]), 0)
}

if (process.argv[1] === import.meta.filename)
  for (const keyCount of [1, 9_000, 100_000]) {
    const measured = await measureBatches({ keyCount, connectionCount: 4, durationMs: 5_000 })
    const perCore = 1_000 / measured.cpuNanosecondsPerIncrement
    console.log(
      `${keyCount} keys: ${(measured.incrementsPerSecond / 1e6).toFixed(2)} M increments/s with ` +
        `${(measured.webCoreShare * 100).toFixed(0)} % of a core: ` +
        `${measured.cpuNanosecondsPerIncrement.toFixed(0)} ns each, ${perCore.toFixed(1)} M/s a core; totals right`,
    )
  }
