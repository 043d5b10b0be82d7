import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { childrenTitled, freePort, nodeCommand, Server } from '../processes.ts'
import { sumOf } from './http-program.ts'
import { requireProgram } from './requirements.ts'
import { formIncrement, type Peer, Unavailable } from './peer.ts'

/** `piccolo up` with its defaults, but for the options given. */
export function piccoloWith(options: readonly string[], name = 'piccolo', processes = 1): Peer {
  return {
    name,
    does: 'all of it, exactly once',
    async start(place) {
      requireProgram('sqlite3', 'sqlite3')
      const port = await freePort()
      const database = join(mkdtempSync(join(place.folder, 'piccolo-')), 'numbers.db')
      const own = ['--web-processes', String(processes), '--log-level', 'warn', ...options]
      const args = ['up', '--port', String(port), '--database', database, ...own]
      const up = new Server(nodeCommand('cli/main.ts', args, place.serverCores))
      await up.ready(() => isReady(port))
      const frontPids = childrenTitled(up.pid, /^piccolo web /)
      if (frontPids.length !== processes) throw new Error(`piccolo up has ${frontPids.length} web processes`)
      let accepted = 0
      let stopping: Promise<void> | null = null
      const stop = async () => {
        accepted = await acceptedBy(port)
        await up.stop()
      }
      return {
        port,
        request: formIncrement,
        pids: [up.pid],
        frontPids,
        stop: () => {
          stopping ??= stop()
          return stopping
        },
        total: async () => {
          const total = await sumOf(database)
          if (total === accepted) return total
          throw new Error(
            `${accepted} increments of 1 were accepted, and the totals in SQLite add up to ${total}`,
          )
        },
      }
    },
  }
}

export const piccolo = piccoloWith([])

/** Listens on every address of the machine, with so many web processes, for a great many connections. */
export function piccoloEverywhere(processes: number): Peer {
  return piccoloWith(['--host', '0.0.0.0', '--connections-max', '60000'], 'piccolo', processes)
}

/** The same by WebSocket. */
export const piccoloStream: Peer = {
  ...piccolo,
  async start(place) {
    const running = await piccolo.start(place)
    // Without an upgrade the path answers that it wants one, or, in a version without it, 404.
    const { status } = await fetch(`http://127.0.0.1:${running.port}/stream`)
    if (status !== 404) return running
    await running.stop()
    throw new Unavailable('this version has no /stream')
  },
}

async function isReady(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok
  } catch {
    return false
  }
}

async function acceptedBy(port: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const lines = text.split('\n').filter(line => line.startsWith('piccolo_increments_accepted_total{'))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}
