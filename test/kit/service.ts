import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeHandover } from '../../intake/handover/handover-files.ts'
import { producerId } from './builders.ts'
import { until } from './condition.ts'

const program = fileURLToPath(new URL('../../cli/main.ts', import.meta.url))

/**
 * A port of the loopback interface that nobody has, and that no other test is given while this process lives.
 * It lies below those that the kernel hands out to clients, so that none of them takes it before we do, and
 * is none that `fetch` refuses (10080).
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_100, 30_000)
    // A name that the kernel drops with this process.
    const isOwn = await canListen({ path: `\0piccolo-test-port/${port}` }, true)
    if (isOwn && (await canListen({ port, host: '127.0.0.1' }, false))) return port
  }
}

function canListen(
  where: { path: string } | { port: number; host: string },
  isKept: boolean,
): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(where, () => {
      if (isKept) {
        server.unref()
        resolve(true)
      } else server.close(() => resolve(true))
    })
  })
}

/** Reports whether there is such a process. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Processes that a process has started, and that have not ended. */
export function childrenOf(pid: number): { title: string; pid: number }[] {
  const processes = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  return processes.flatMap(name => {
    try {
      const status = readFileSync(`/proc/${name}/stat`, 'latin1')
      const [state, parent] = status.slice(status.lastIndexOf(')') + 2).split(' ')
      if (state === 'Z' || Number(parent) !== pid) return []
      const title = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0', 1)[0]!.trim()
      return [{ title, pid: Number(name) }]
    } catch {
      // It ended while we looked.
      return []
    }
  })
}

/** A folder of the test's own, removed with everything in it. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'piccolo-test-'))
  readonly database = join(this.path, 'numbers.db')

  /** Asks the database as people do: through the sqlite3 shell. */
  sql(statement: string): string {
    return execFileSync('sqlite3', ['-cmd', '.timeout 5000', this.database, statement], {
      encoding: 'utf8',
      maxBuffer: 256 * 1024 * 1024,
    }).trim()
  }

  /** Key to total, of the whole table; values as decimal text, as they may be beyond what a number holds. */
  totals(): Map<string, string> {
    const rows = JSON.parse(
      this.sql(`SELECT json_group_array(json_array(key, CAST(value AS TEXT))) FROM numbers`),
    )
    return new Map(rows as [string, string][])
  }

  /** Leaves these batches of a producer as a stop does; returns the path of the file. */
  handOver(producer: number, elements: readonly string[], store: string | null = null): string {
    const place = { database: this.database, stateDir: null }
    return writeHandover(this.path, place, { store, producer: producerId(producer), elements })
  }

  /** Names of the files in it. */
  files(): string[] {
    return readdirSync(this.path)
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** Limits of the operating system. */
export interface Limits {
  readonly descriptorsMax?: number | 'unchanged'
  readonly fileBytesMax?: number | 'unchanged'
}

/** One run of the program: `up`, `web`, `consumer`, or any other command. */
export class Program {
  readonly #child: ChildProcess
  #output = ''
  readonly exited: Promise<number | null>

  /** `stdout` is a file descriptor, for what is not to be read here. */
  constructor(
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    stdout: 'pipe' | number = 'pipe',
    { descriptorsMax = 'unchanged', fileBytesMax = 'unchanged' }: Limits = {},
  ) {
    const limits = Object.entries({ nofile: descriptorsMax, fsize: fileBytesMax })
    const given = limits.filter(([, limit]) => limit !== 'unchanged').map(each => `--${each.join('=')}`)
    const limited = given.length === 0 ? [] : ['prlimit', ...given]
    const node = [process.execPath, '--disable-warning=ExperimentalWarning', program]
    const [command, ...rest] = [...limited, ...node, ...args]
    this.#child = spawn(command!, rest, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', stdout, 'pipe'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', chunk => {
        this.#output += chunk
      })
    this.exited = new Promise(resolve => this.#child.once('close', code => resolve(code)))
  }

  /** Standard output and standard error together. */
  get output(): string {
    return this.#output
  }

  get pid(): number {
    return this.#child.pid!
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Waits for a line of the log, or any other output. */
  async says(pattern: RegExp): Promise<void> {
    await until(`${pattern} in the output:\n${this.#output}`, () => {
      if (pattern.test(this.#output)) return true
      if (!this.isRunning) throw new Error(`ended without saying ${pattern}:\n${this.#output}`)
      return false
    })
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Sends SIGTERM and resolves to the exit code. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.signal(signal)
    return this.exited
  }

  /** Children by their process title, such as `piccolo web 1`. */
  children(): Map<string, number> {
    return new Map(childrenOf(this.pid).map(({ title, pid }) => [title, pid]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) this.signal('SIGKILL')
    await this.exited
  }
}

/** `piccolo up` on a port and a database of its own. */
export class Service extends Program {
  readonly port: number
  readonly folder: Folder

  private constructor(
    folder: Folder,
    port: number,
    args: readonly string[],
    { stdout = 'pipe', limits = {} }: { stdout?: 'pipe' | number; limits?: Limits } = {},
  ) {
    super(['up', '--port', String(port), '--database', folder.database, ...args], {}, stdout, limits)
    this.folder = folder
    this.port = port
  }

  static async start(folder: Folder, ...args: string[]): Promise<Service> {
    return Service.startAt(folder, await freePort(), ...args)
  }

  /** Rejects, with nothing left running, when it does not become ready. */
  static async startAt(folder: Folder, port: number, ...args: string[]): Promise<Service> {
    const service = new Service(folder, port, args)
    return service.#once(() => service.says(/"msg":"ready"/))
  }

  /** The same, with a log that goes to a file descriptor, and that may never be written. */
  static async startLoggingTo(stdout: number, folder: Folder, ...args: string[]): Promise<Service> {
    const service = new Service(folder, await freePort(), args, { stdout })
    return service.#once(() => until('the service is ready', () => service.isReady()))
  }

  static async startLimited(limits: Limits, folder: Folder, ...args: string[]): Promise<Service> {
    const service = new Service(folder, await freePort(), args, { limits })
    return service.#once(() => service.says(/"msg":"ready"/))
  }

  async #once(ready: () => Promise<void>): Promise<this> {
    try {
      await ready()
      return this
    } catch (error) {
      await this[Symbol.asyncDispose]()
      throw error
    }
  }

  async isReady(): Promise<boolean> {
    if (!this.isRunning) throw new Error(`ended instead of being ready:\n${this.output}`)
    return fetch(`${this.url}/readyz`).then(
      response => response.ok,
      () => false,
    )
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Posts a form; resolves to the status. */
  async increment(key: string, value: number): Promise<number> {
    const response = await fetch(`${this.url}/increment`, {
      method: 'POST',
      body: new URLSearchParams({ key, value: String(value) }),
    })
    await response.arrayBuffer()
    return response.status
  }

  /** Returns the metric of one process, or of all together; zero while there is no such series. */
  async metric(name: string, process?: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text()
    const start = process === undefined ? `${name}{` : `${name}{process="${process}"}`
    const lines = text.split('\n').filter(line => line.startsWith(start))
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
  }

  /** Waits until the database has exactly these totals. */
  async hasTotals(expected: ReadonlyMap<string, string>): Promise<void> {
    let difference = ''
    await until('the totals are as expected', () => {
      difference = differenceOf(expected, this.folder.totals())
      return difference === ''
    }).catch(error => {
      throw new Error(`${(error as Error).message}\n${difference}\n${this.output.slice(-4_000)}`)
    })
  }
}

/** Describes the difference; empty when both are the same. */
export function differenceOf(
  expected: ReadonlyMap<string, string>,
  actual: ReadonlyMap<string, string>,
): string {
  const lines: string[] = []
  for (const key of new Set([...expected.keys(), ...actual.keys()])) {
    if (expected.get(key) !== actual.get(key))
      lines.push(`${key}: expected ${expected.get(key) ?? 'nothing'}, is ${actual.get(key) ?? 'nothing'}`)
  }
  return lines.slice(0, 20).join('\n')
}
