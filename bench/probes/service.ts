import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const nodeArgs = ['--disable-warning=ExperimentalWarning']
const canPin = availableParallelism() > 1
/** What is measured has a core of its own; all else shares another one. */
export const measuredCore = '0'
export const otherCore = '1'

/** Starts one of our programs on the other core; its errors go to the terminal. */
export function startNode(...args: readonly string[]): ChildProcess {
  const [program, ...rest] = onOtherCore(process.execPath, ...nodeArgs, ...args)
  return spawn(program!, rest, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
}

export interface WebProcess {
  readonly pid: number
  /** Resolves once everything that was accepted is in the database. */
  stop(): Promise<void>
}

/** The whole service with one web process, which has the measured core. */
export async function startService(port: number, database: string): Promise<WebProcess> {
  const up = startNode('cli/main.ts', 'up', `--port=${port}`, `--database=${database}`, '--web-processes=1')
  await says(up, '"ready"')
  const pid = Number(
    execFileSync('pgrep', ['-P', String(up.pid), '-f', 'piccolo web 1'], { encoding: 'utf8' }),
  )
  pinToMeasuredCore(pid)
  return { pid, stop: () => stop(up) }
}

/** Resolves once it has printed that word. */
export function says(child: ChildProcess, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout!.on('data', chunk => String(chunk).includes(word) && resolve())
    child.once('exit', code => reject(new Error(`a server ended with ${code} at its start`)))
  })
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}

export function onOtherCore(...command: readonly string[]): readonly string[] {
  return canPin ? ['taskset', '-c', otherCore, ...command] : command
}

export function pinToMeasuredCore(pid: number): void {
  if (canPin) execFileSync('taskset', ['-a', '-p', '-c', measuredCore, String(pid)])
}

/** Processor time of all threads of a process, as the kernel counts it. */
export function cpuNanosecondsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  const times = threads.map(thread => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1'))
  return times.reduce((sum, each) => sum + Number(each.split(' ')[0]), 0)
}

/** All totals in a database that nobody writes any more. */
export function totalsIn(database: string): Map<string, number> {
  const command = ['-separator', '\t', database, 'SELECT key, value FROM numbers']
  const rows = execFileSync('sqlite3', command, { encoding: 'utf8', maxBuffer: 1e9 }).trim().split('\n')
  return new Map(rows.map(row => row.split('\t') as [string, string]).map(([key, value]) => [key, +value]))
}
