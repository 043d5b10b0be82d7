import { startProgram } from './http-program.ts'
import type { Peer } from './peer.ts'

export const nodeHttp: Peer = {
  name: 'node:http',
  does: 'sums in memory, SQLite every 100 ms; a crash loses what is in memory',
  start: place => startProgram('bench/servers/node-http.ts', place),
}
