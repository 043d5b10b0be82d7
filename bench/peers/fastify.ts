import { requirePackages } from '../packages.ts'
import { startProgram } from './http-program.ts'
import type { Peer } from './peer.ts'

export const fastify: Peer = {
  name: 'Fastify',
  does: 'sums in memory, SQLite every 100 ms; a crash loses what is in memory',
  async start(place) {
    await requirePackages('bench')
    return startProgram('bench/servers/fastify.ts', place)
  },
}
