import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Makes a program that starts processes and makes temporary folders leave none of them behind, however it
 * ends short of SIGKILL. Temporary folders are made inside one of this process from now on; when it ends, or
 * a signal tells it to, every process below it is killed and that folder is removed.
 */
export function leaveNothingBehind(): void {
  const folder = mkdtempSync(join(tmpdir(), 'piccolo-'))
  process.env.TMPDIR = folder
  process.once('exit', () => {
    for (const pid of processesBelow(process.pid)) kill(pid)
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  })
  for (const signal of signals) process.once(signal, () => process.exit(128 + constants.signals[signal]))
}

/** Ids of all processes below that one; none where there is no /proc. */
export function processesBelow(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const pid of processIds()) {
    const parent = parentOf(pid)
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const found: number[] = []
  for (const pending = [root]; pending.length > 0; ) {
    const below = children.get(pending.pop()!) ?? []
    found.push(...below)
    pending.push(...below)
  }
  return found
}

function processIds(): number[] {
  try {
    return readdirSync('/proc')
      .filter(name => /^\d+$/.test(name))
      .map(Number)
  } catch {
    return []
  }
}

/** Returns null when the process has ended. */
function parentOf(pid: number): number | null {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return null
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
