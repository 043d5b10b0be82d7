import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { whileAwake } from './awake.ts'
import { shuffledKeys } from './keys.ts'
import { outputOf } from '../processes.ts'
import type { HttpIncrement } from '../peers/peer.ts'
import type { Latency, Load } from './load.ts'

const workersMax = 1_000

/** Open loop: requests come at a constant rate, whether or not the last ones are answered. */
export function vegeta({ rate, keyCount }: { rate: number; keyCount: number }): Load {
  const keys = `${keyCount.toLocaleString('en-US')} keys`
  return {
    name: `vegeta, ${rate.toLocaleString('en-US')} requests a second, ${keys}`,
    needs: ['vegeta', 'vegeta'],
    async run({ port, request }, { seconds, folder, loadCores }) {
      if (request === undefined) throw new Error('vegeta speaks HTTP only')
      const targets = join(folder, `vegeta-${port}.jsonl`)
      const results = join(folder, `vegeta-${port}.bin`)
      writeFileSync(targets, vegetaTargets(request, port, keyCount))
      const shape = ['-rate', String(rate), '-duration', `${seconds}s`, '-max-workers', String(workersMax)]
      const attack = ['attack', '-format', 'json', '-targets', targets, ...shape, '-output', results]
      const options = { env: withoutCollections() }
      await whileAwake(() => outputOf({ program: 'vegeta', args: attack, cores: loadCores, options }))
      const report = (type: string) =>
        outputOf({ program: 'vegeta', args: ['report', '-type', type, results], cores: loadCores })
      const { requests, accepted } = parseVegeta(await report('json'))
      return {
        increments: accepted,
        seconds,
        failures: requests - accepted,
        // A request that timed out may have been counted.
        underWayMax: requests - accepted,
        latencyMs: parseHistogram(await report('hdrplot')),
      }
    },
  }
}

/** Its own collections would be in the latencies; it makes do with the memory that a few seconds take. */
function withoutCollections(): NodeJS.ProcessEnv {
  return { ...process.env, GOGC: 'off', GOMEMLIMIT: '4GiB' }
}

function vegetaTargets(
  { method, path, body, contentType }: HttpIncrement,
  port: number,
  count: number,
): string {
  const lines = shuffledKeys(count).map(key =>
    JSON.stringify({
      method,
      url: `http://127.0.0.1:${port}${path.replace('{key}', key)}`,
      header: { 'Content-Type': [contentType] },
      body: Buffer.from(body.replace('{key}', key)).toString('base64'),
    }),
  )
  return `${lines.join('\n')}\n`
}

export function parseVegeta(report: string): { requests: number; accepted: number } {
  const { requests, status_codes: codes } = JSON.parse(report) as {
    requests: number
    status_codes: Record<string, number>
  }
  return { requests, accepted: codes['200'] ?? 0 }
}

/** Lines of value in ms, share of all requests that took at most that long, and more. */
export function parseHistogram(plot: string): Latency {
  const points = [...plot.matchAll(/^\s*([\d.]+)\s+([\d.]+)\s+\d+\s/gm)].map(match =>
    match.slice(1, 3).map(Number),
  )
  const at = (share: number) => {
    const found = points.find(point => point[1]! >= share)
    if (found === undefined) throw new Error(`vegeta did not say how long requests took:\n${plot}`)
    return found[0]!
  }
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
}
