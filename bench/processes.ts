import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { sleep, systemClock } from '../lib/clock.ts'

export const root = fileURLToPath(new URL('..', import.meta.url))

const startTimeoutMs = 30_000
const stopTimeoutMs = 15_000
const pollIntervalMs = 20
/** The part of a process's output that is kept, to be shown when it fails. */
const outputCharsMax = 4_000
/** The kernel's USER_HZ, in which /proc/PID/stat counts; fixed for programs at 100 a second. */
const tickMs = 10

export interface Command {
  readonly program: string
  readonly args: readonly string[]
  /** Cores that it and its children may use; null for all. */
  readonly cores: string | null
  readonly options?: SpawnOptions
}

/** Node with type stripping, for a program of this project. */
export function nodeCommand(path: string, args: readonly (string | number)[], cores: string | null): Command {
  const flags = ['--disable-warning=ExperimentalWarning', path, ...args.map(String)]
  return { program: process.execPath, args: flags, cores }
}

/** A server under measurement, and whatever else has to run beside it. */
export class Server {
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  readonly #name: string
  #output = ''
  #failure: Error | null = null
  #isEnded = false

  constructor({ program, args, cores, options }: Command, onOutput: (text: string) => void = () => {}) {
    this.#name = [program.split('/').at(-1), ...args].join(' ')
    const [first, ...rest] = cores === null ? [program, ...args] : ['taskset', '-c', cores, program, ...args]
    this.#child = spawn(first!, rest, { cwd: root, ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.#child.stdout!, this.#child.stderr!])
      stream.setEncoding('utf8').on('data', text => {
        this.#output = (this.#output + text).slice(-outputCharsMax)
        onOutput(text)
      })
    this.#ended = new Promise(resolve => {
      const end = (failure: Error | null) => {
        this.#failure = failure
        this.#isEnded = true
        resolve()
      }
      this.#child.once('exit', () => end(null))
      this.#child.once('error', end)
    })
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** Rejects, with the process ended, when it ends or stays silent instead. */
  async ready(isReady: () => Promise<boolean>): Promise<this> {
    const deadlineMs = systemClock.monotonicMs() + startTimeoutMs
    while (!(await isReady())) {
      const isLate = systemClock.monotonicMs() > deadlineMs
      if (this.#isEnded || isLate) {
        await this.stop('SIGKILL')
        const what = this.#failure?.message ?? (isLate ? 'was not ready in time' : 'ended at its start')
        throw new Error(`${this.#name}: ${what}\n${this.#output}`)
      }
      await sleep(systemClock, pollIntervalMs)
    }
    return this
  }

  /** Resolves once it takes connections. */
  accepting(port: number): Promise<this> {
    return this.ready(() => isAccepting(port))
  }

  /** Resolves when it has ended; one that does not obey is killed. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#isEnded) return
    this.#child.kill(signal)
    const timer = systemClock.after(stopTimeoutMs, () => this.#child.kill('SIGKILL'))
    await this.#ended
    timer.cancel()
  }
}

/** Runs a program to its end; resolves to its standard output, rejects with what it said when it fails. */
export async function outputOf({ program, args, cores, options }: Command): Promise<string> {
  const [first, ...rest] = cores === null ? [program, ...args] : ['taskset', '-c', cores, program, ...args]
  const child = spawn(first!, rest, { cwd: root, ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { out: '', error: '' }
  child.stdout!.setEncoding('utf8').on('data', text => {
    said.out += text
  })
  child.stderr!.setEncoding('utf8').on('data', text => {
    said.error = (said.error + text).slice(-outputCharsMax)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('close', resolve)
    child.once('error', reject)
  })
  if (code === 0) return said.out
  throw new Error(`${program} ended with ${code}: ${said.error.trim() || said.out.slice(-outputCharsMax)}`)
}

/** CPU time that these processes and all that descends from them have used. */
export function cpuMsOf(pids: readonly number[]): number {
  const processes = readProcesses()
  const wanted = new Set(pids)
  let ticks = 0
  for (let found = -1; found !== wanted.size; ) {
    found = wanted.size
    for (const { pid, parent } of processes) if (wanted.has(parent)) wanted.add(pid)
  }
  for (const process of processes) if (wanted.has(process.pid)) ticks += process.ticks
  return ticks * tickMs
}

/** User and system time of a process, and of its children that have ended: utime, stime, cutime, cstime. */
function ticksOf(fields: readonly string[]): number {
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
}

/** The children whose titles match. */
export function childrenTitled(ancestor: number, title: RegExp): number[] {
  const children = readProcesses().filter(({ parent }) => parent === ancestor)
  return children.map(({ pid }) => pid).filter(pid => title.test(titleOf(pid)))
}

function titleOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0', 1)[0]!.trim()
  } catch {
    return ''
  }
}

function readProcesses(): { pid: number; parent: number; ticks: number }[] {
  return readdirSync('/proc').flatMap(entry => {
    if (!/^\d+$/.test(entry)) return []
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return [{ pid: Number(entry), parent: Number(fields[1]), ticks: ticksOf(fields) }]
    } catch {
      // It ended while we looked.
      return []
    }
  })
}

/** A port of the loopback interface that nobody has, below those that the kernel hands out to clients. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 30_000)
    const server = createServer()
    const isFree = await new Promise<boolean>(resolve => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}

/** Reports whether somebody reads datagrams at this port of the loopback interface. */
export function isReadingDatagrams(port: number): boolean {
  // The second field of each line is the local address; that of the peer is zero.
  return readFileSync('/proc/net/udp', 'latin1').includes(`:${hexadecimal(port)} 00000000:0000 `)
}

/** Returns how many sockets listen at this port of any address: several processes may share one. */
export function listenersAt(port: number): number {
  const listening = new RegExp(`^ *\\d+: [0-9A-F]+:${hexadecimal(port)} 0+:0000 0A `, 'gm')
  return readFileSync('/proc/net/tcp', 'latin1').match(listening)?.length ?? 0
}

/** Formats a port like /proc/net. */
function hexadecimal(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0')
}

function isAccepting(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
