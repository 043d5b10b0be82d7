import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sleep, systemClock } from '../../lib/clock.ts'
import { freePort, outputOf, root, Server } from '../processes.ts'
import { sumOf } from './http-program.ts'
import { startRedis } from './redis.ts'
import { requireProgram } from './requirements.ts'
import { formIncrement, type Peer, Unavailable } from './peer.ts'

/** Longer than a flush and what comes after it. */
const lastFlushMs = 1_000

export const falcon: Peer = {
  name: 'Python: Falcon on gevent',
  does: 'the old design: sums in memory, a list in Redis, SQLite; a crash loses what is under way',
  async start(place) {
    requireProgram('sqlite3', 'sqlite3')
    const python = await requirePython(place.cache)
    const redis = await startRedis(place)
    const database = join(mkdtempSync(join(place.folder, 'falcon-')), 'numbers.db')
    const port = await freePort()
    const start = (script: string, ...args: string[]) =>
      new Server({
        program: python,
        args: [join('bench/peers/python', script), ...args, String(redis.port)],
        cores: place.serverCores,
      })
    const consumer = start('consumer.py', database)
    const web = start('web.py', String(port))
    const stop = async () => {
      await sleep(systemClock, lastFlushMs)
      for (const each of [web, consumer, redis]) await each.stop()
    }
    try {
      await web.accepting(port)
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

/** The Python of an environment with the packages that the peer wants, set up when it is not there. */
async function requirePython(cache: string): Promise<string> {
  const folder = join(cache, 'python')
  const requirements = join(root, 'bench/peers/python/requirements.txt')
  const stamp = join(folder, 'installed.txt')
  const wanted = readFileSync(requirements, 'utf8')
  const python = join(folder, 'bin/python')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return python
  const program = requireProgram('python3', 'python3-venv')
  rmSync(folder, { recursive: true, force: true })
  try {
    await outputOf({ program, args: ['-m', 'venv', folder], cores: null })
    const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements]
    await outputOf({ program: python, args, cores: null })
  } catch (error) {
    throw new Unavailable('its Python packages could not be installed', { cause: error })
  }
  writeFileSync(stamp, wanted)
  return python
}
