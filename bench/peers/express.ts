import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { requirePackages } from '../packages.ts'
import { freePort, nodeCommand, Server } from '../processes.ts'
import { sumOf } from './http-program.ts'
import { requireProgram } from './requirements.ts'
import { startRedis } from './redis.ts'
import { formIncrement, type Peer } from './peer.ts'

export const express: Peer = {
  name: 'Express (apps/express)',
  does: 'our own service on Express: all of it, exactly once, its batches through Redis',
  async start(place) {
    requireProgram('sqlite3', 'sqlite3')
    await requirePackages('apps/express')
    const redis = await startRedis(place)
    const database = join(mkdtempSync(join(place.folder, 'express-')), 'numbers.db')
    const [port, consumerPort] = [await freePort(), await freePort()]
    const shared = [
      '--redis',
      `redis://127.0.0.1:${redis.port}`,
      '--database',
      database,
      '--log-level',
      'warn',
    ]
    const start = (path: string, args: readonly (string | number)[]) =>
      new Server(nodeCommand(path, [...args, ...shared], place.serverCores))
    const consumer = start('cli/main.ts', ['consumer', '--consumer-port', consumerPort])
    const web = start('bench/servers/express.ts', ['--port', port])
    // Web first: what it seals in its last moments is for the consumer, which then empties the queue.
    const stop = async () => {
      for (const each of [web, consumer, redis]) await each.stop()
    }
    try {
      await Promise.all([consumer.accepting(consumerPort), web.accepting(port)])
    } catch (error) {
      await stop()
      throw error
    }
    return {
      port,
      request: formIncrement,
      pids: [web.pid, consumer.pid, redis.pid],
      frontPids: [web.pid],
      stop,
      total: () => sumOf(database),
    }
  },
}
