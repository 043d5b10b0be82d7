import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const nodeArguments = ['--disable-warning=ExperimentalWarning']
/** CPU time in /proc is in hundredths of a second. */
const tickMs = 10

/** `piccolo up` with a database of its own, for a measurement. */
export interface Service {
  readonly url: string
  /** Process ids by the names that the processes give themselves: `up`, `web 1`, `consumer`. */
  readonly pids: ReadonlyMap<string, number>
  metrics(): Promise<string>
  /** Waits until every increment is in the database. */
  committed(): Promise<void>
  sql(statement: string): string
  stop(): Promise<void>
}

export async function startUp(port: number, options: readonly string[] = []): Promise<Service> {
  const folder = mkdtempSync(join(tmpdir(), 'piccolo-bench-'))
  const database = join(folder, 'numbers.db')
  const url = `http://127.0.0.1:${port}`
  const own = ['--port', String(port), '--database', database, '--web-processes', '1']
  const child = start(['cli/main.ts', 'up', ...own, '--log-format', 'json', ...options])
  await says(child, '"ready"')
  const metrics = async () => (await fetch(`${url}/metrics`)).text()
  return {
    url,
    pids: new Map([['up', child.pid!], ...childrenOf(child.pid!)]),
    metrics,
    committed: () => untilCommitted(metrics),
    sql: statement => execFileSync('sqlite3', [database, statement], { encoding: 'utf8' }).trim(),
    stop: async () => {
      await end(child)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Returns the user and system time of a process together, since it started. */
export function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * tickMs
}

export function rssMebibytesOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1024
}

/** The sum of a metric over its labels and processes; zero if it is not there. */
export function metricOf(text: string, name: string): number {
  const lines = text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))
  return [...lines].reduce((sum, [, value]) => sum + Number(value), 0)
}

async function untilCommitted(metrics: () => Promise<string>): Promise<void> {
  for (;;) {
    const text = await metrics()
    const accepted = metricOf(text, 'piccolo_increments_accepted_total')
    if (metricOf(text, 'piccolo_increments_committed_total') === accepted) return
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

function childrenOf(parent: number): [string, number][] {
  const children: [string, number][] = []
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      if (Number(stat.replace(/^.*\) /s, '').split(' ')[1]) !== parent) continue
      const title = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()
      children.push([title.replace(/^piccolo /, ''), Number(pid)])
    } catch {
      // It ended meanwhile.
    }
  }
  return children
}

function start(args: readonly string[]): ChildProcess {
  const stdio = ['ignore', 'pipe', 'inherit'] as const
  return spawn(process.execPath, [...nodeArguments, ...args], { cwd: root, stdio: [...stdio] })
}

function says(child: ChildProcess, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout!.on('data', chunk => String(chunk).includes(word) && resolve())
    child.once('exit', code => reject(new Error(`a server ended with ${code} at its start`)))
  })
}

function end(child: ChildProcess): Promise<void> {
  return new Promise(resolve => {
    child.once('exit', () => resolve())
    child.kill('SIGTERM')
  })
}
