import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, nodeCommand, outputOf, Server } from '../processes.ts'
import { requireProgram } from './requirements.ts'
import { formIncrement, type Place, type Running } from './peer.ts'

/**
 * Starts one of bench/servers: a program whose arguments are a port, a database, in which it keeps its
 * totals, an address, and what only it knows.
 */
export async function startProgram(
  path: string,
  place: Place,
  host = '127.0.0.1',
  ...more: readonly string[]
): Promise<Running> {
  requireProgram('sqlite3', 'sqlite3')
  const port = await freePort()
  const database = join(mkdtempSync(join(place.folder, 'server-')), 'numbers.db')
  const server = new Server(nodeCommand(path, [port, database, host, ...more], place.serverCores))
  await server.accepting(port)
  return {
    port,
    request: formIncrement,
    pids: [server.pid],
    stop: () => server.stop(),
    total: () => sumOf(database),
  }
}

/** Returns the sum of all totals in a SQLite database; exact, as the shell adds 64-bit integers. */
export async function sumOf(database: string): Promise<number> {
  const sql = 'SELECT coalesce(sum(value), 0) FROM numbers'
  return Number(await outputOf({ program: 'sqlite3', args: [database, sql], cores: null }))
}
