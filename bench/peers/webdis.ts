import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, Server } from '../processes.ts'
import { startRedis, stoppedWithTotal } from './redis.ts'
import { requireProgram } from './requirements.ts'
import type { Peer } from './peer.ts'

export const webdis: Peer = {
  name: 'webdis on Redis INCRBY',
  does: 'totals in the memory of Redis; nothing on disk, and a retry counts twice',
  async start(place) {
    const program = requireProgram('webdis', 'webdis')
    const redis = await startRedis(place)
    const port = await freePort()
    const folder = mkdtempSync(join(place.folder, 'webdis-'))
    const settings = {
      redis_host: '127.0.0.1',
      redis_port: redis.port,
      http_host: '127.0.0.1',
      http_port: port,
      threads: 1,
      pool_size: 4,
      daemonize: false,
      websockets: false,
      database: 0,
      acl: [{ enabled: ['INCRBY'] }],
      verbosity: 0,
      logfile: join(folder, 'webdis.log'),
    }
    writeFileSync(join(folder, 'webdis.json'), JSON.stringify(settings))
    const args = [join(folder, 'webdis.json')]
    const server = new Server({ program, args, cores: place.serverCores })
    const stop = async () => {
      await server.stop()
      await redis.stop()
    }
    try {
      await server.accepting(port)
    } catch (error) {
      await stop()
      throw error
    }
    return {
      port,
      request: { method: 'GET', path: '/INCRBY/{key}/1', body: '', contentType: 'text/plain' },
      pids: [server.pid, redis.pid],
      frontPids: [server.pid],
      ...stoppedWithTotal(() => redis.sum(), stop),
    }
  },
}
