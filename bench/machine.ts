import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { outputOf } from './processes.ts'
import { findProgram } from './peers/requirements.ts'

export interface Cores {
  readonly serverCores: string | null
  readonly loadCores: string | null
}

/** The server on the first core, the load on all others; both anywhere with one core, or without taskset. */
function coresFor(coreCount: number, hasTaskset: boolean): Cores {
  if (coreCount < 2 || !hasTaskset) return { serverCores: null, loadCores: null }
  return { serverCores: '0', loadCores: coreCount === 2 ? '1' : `1-${coreCount - 1}` }
}

export function cores(): Cores {
  return coresFor(availableParallelism(), findProgram('taskset') !== null)
}

/** Returns why a process cannot have so many connections, each of them an open file; null when it can. */
export function lacksFiles(connections: number): string | null {
  const limits = readFileSync('/proc/self/limits', 'utf8')
  const limit = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY)
  return limit < connections + 100 ? `a process may have ${limit} open files here (ulimit -n)` : null
}

/** Returns the properties of this machine that the numbers depend on. */
export async function describeMachine({ serverCores, loadCores }: Cores): Promise<Record<string, string>> {
  const [cpu] = cpus()
  const pinned = serverCores === null ? 'no' : `server on core ${serverCores}, load on ${loadCores}`
  return {
    processor: cpu?.model.trim() || 'unknown',
    cores: String(availableParallelism()),
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: release(),
    system: systemName(),
    pinned,
    Node: process.versions.node,
    ...(await versionsOf({
      wrk: ['wrk', '--version'],
      redis: ['redis-server', '--version'],
      sqlite3: ['sqlite3', '--version'],
      PostgreSQL: ['psql', '--version'],
      Python: ['python3', '--version'],
    })),
  }
}

async function versionsOf(programs: Record<string, [string, string]>): Promise<Record<string, string>> {
  const versions: Record<string, string> = {}
  for (const [name, [program, flag]] of Object.entries(programs)) {
    if (findProgram(program) === null) continue
    // wrk says its version and ends with 1.
    const said = await outputOf({ program, args: [flag], cores: null }).catch(error => String(error))
    versions[name] = /\d+\.\d+(\.\d+)?/.exec(said)?.[0] ?? 'unknown'
  }
  return versions
}

function systemName(): string {
  try {
    return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown'
  } catch {
    return 'unknown'
  }
}
