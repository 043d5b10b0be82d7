import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, isReadingDatagrams, outputOf, Server } from '../processes.ts'
import { stoppedWithTotal } from './redis.ts'
import { findProgram, requireProgram } from './requirements.ts'
import { type Peer, Unavailable } from './peer.ts'
import { LineSum } from './statsd.ts'

const goPackage = 'github.com/atlassian/gostatsd/cmd/gostatsd@latest'
const flushIntervalMs = 1_000
const flushed = /stats\.counter\.test\d+[^ ]*\.count (\d+) /

export const gostatsd: Peer = {
  name: 'gostatsd',
  does: 'rates in memory; whatever the socket has no room for is lost, and nobody is told',
  loses: 'datagrams',
  async start(place) {
    const program = findProgram('gostatsd') ?? (await built(place.cache))
    const port = await freePort()
    const address = `127.0.0.1:${port}`
    const args = [
      '--metrics-addr',
      address,
      '--backends',
      'stdout',
      '--flush-interval',
      `${flushIntervalMs}ms`,
    ]
    const lines = new LineSum(flushed)
    const server = new Server({ program, args, cores: place.serverCores }, text => lines.read(text))
    await server.ready(async () => isReadingDatagrams(port))
    return {
      port,
      pids: [server.pid],
      ...stoppedWithTotal(
        () => lines.sumAfter(2 * flushIntervalMs),
        () => server.stop(),
      ),
    }
  },
}

async function built(cache: string): Promise<string> {
  const folder = join(cache, 'go/bin')
  const program = join(folder, 'gostatsd')
  if (existsSync(program)) return program
  const go = requireProgram('go', 'golang-go')
  try {
    // go wants a home for its own cache, which the environment names.
    const options = { env: { ...(await goEnvironment(go)), GOBIN: folder } }
    await outputOf({ program: go, args: ['install', goPackage], cores: null, options })
  } catch (error) {
    throw new Unavailable('go could not fetch or build it', { cause: error })
  }
  return program
}

/** Only main.ts reads the environment; go knows its own. */
async function goEnvironment(go: string): Promise<Record<string, string>> {
  return JSON.parse(await outputOf({ program: go, args: ['env', '-json'], cores: null }))
}
