import { startProgram } from './http-program.ts'
import type { Rival } from './rival.ts'

export const nodeHttp: Rival = {
  name: 'node:http',
  does: 'sums in memory, SQLite every 100 ms; a crash loses what is in memory',
  start: place => startProgram('bench/servers/node-http.ts', place),
}
