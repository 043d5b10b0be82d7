import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, outputOf, Server } from '../processes.ts'
import { requireProgram } from './requirements.ts'
import type { Place, Peer } from './peer.ts'

const sumScript = `local sum = 0
for _, key in ipairs(redis.call('keys', '*')) do sum = sum + redis.call('get', key) end
return sum`

export interface RedisServer {
  readonly port: number
  readonly pid: number
  /** The sum over all keys. */
  sum(): Promise<number>
  stop(): Promise<void>
}

/** A Redis that writes nothing to disk: the fastest it can be, and what it holds dies with it. */
export async function startRedis(place: Place): Promise<RedisServer> {
  requireProgram('redis-server', 'redis')
  requireProgram('redis-cli', 'redis')
  const port = await freePort()
  const folder = mkdtempSync(join(place.folder, 'redis-'))
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '']
  const server = new Server({ program: 'redis-server', args, cores: place.serverCores })
  await server.accepting(port)
  const cli = ['-p', String(port), '--raw', 'EVAL', sumScript, '0']
  return {
    port,
    pid: server.pid,
    sum: async () => Number(await outputOf({ program: 'redis-cli', args: cli, cores: null })),
    stop: () => server.stop(),
  }
}

export const redis: Peer = {
  name: 'Redis INCRBY',
  does: 'totals in memory; nothing on disk, and a retry counts twice',
  async start(place) {
    const server = await startRedis(place)
    return { port: server.port, pids: [server.pid], ...stoppedWithTotal(() => server.sum(), server.stop) }
  },
}

/** Asks for the total before the stop, for servers that know it only while they run. */
export function stoppedWithTotal(ask: () => Promise<number | null>, stop: () => Promise<void>) {
  let total: number | null = null
  let stopping: Promise<void> | null = null
  const askAndStop = async () => {
    try {
      total = await ask()
    } finally {
      await stop()
    }
  }
  return {
    stop: () => {
      stopping ??= askAndStop()
      return stopping
    },
    total: async () => total,
  }
}
