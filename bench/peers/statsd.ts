import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sleep, systemClock } from '../../lib/clock.ts'
import { requirePackages } from '../packages.ts'
import { freePort, isReadingDatagrams, root, Server } from '../processes.ts'
import { stoppedWithTotal } from './redis.ts'
import type { Peer } from './peer.ts'

const flushIntervalMs = 1_000
const flushed = /^FLUSHED (\d+)$/

export const statsd: Peer = {
  name: 'StatsD',
  does: 'rates in memory; whatever the socket has no room for is lost, and nobody is told',
  loses: 'datagrams',
  async start(place) {
    await requirePackages('bench')
    const [port, adminPort] = [await freePort(), await freePort()]
    const settings = {
      address: '127.0.0.1',
      port,
      mgmt_address: '127.0.0.1',
      mgmt_port: adminPort,
      flushInterval: flushIntervalMs,
      deleteIdleStats: true,
      backends: [join(root, 'bench/servers/statsd-sums.cjs')],
    }
    const path = join(mkdtempSync(join(place.folder, 'statsd-')), 'statsd.js')
    writeFileSync(path, `(${JSON.stringify(settings)})\n`)
    const lines = new LineSum(flushed)
    const command = {
      program: process.execPath,
      args: ['bench/node_modules/statsd/stats.js', path],
      cores: place.serverCores,
    }
    const server = new Server(command, text => lines.read(text))
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

/** Adds up a number that comes again and again in what a program says. */
export class LineSum {
  readonly #pattern: RegExp
  #sum = 0
  #rest = ''

  /** Takes a pattern for a line; its first group is the number. */
  constructor(pattern: RegExp) {
    this.#pattern = pattern
  }

  read(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()!
    for (const line of lines) this.#sum += Number(this.#pattern.exec(line)?.[1] ?? 0)
  }

  /** Waits for the last of them first. */
  async sumAfter(delayMs: number): Promise<number> {
    await sleep(systemClock, delayMs)
    return this.#sum
  }
}
