import { outputOf } from '../processes.ts'
import type { Latency, Load } from './load.ts'

const connections = 50
const pipeline = 16
/** Requests of the first turn; later turns last as long as they should. */
const firstRequests = 200_000

/** Redis' own load: `INCRBY key 1`, 16 pipelined. */
export function redisBenchmark(keyCount: number): Load {
  // redis-benchmark takes a number of requests, and not a time.
  let perSecond = firstRequests
  const keys = `${keyCount.toLocaleString('en-US')} keys`
  return {
    name: `redis-benchmark, ${connections} connections, ${keys}, ${pipeline} pipelined`,
    needs: ['redis-benchmark', 'redis-tools'],
    async run({ port }, { seconds, loadCores }) {
      const requests = Math.ceil((perSecond * seconds) / pipeline) * pipeline
      const shape = ['-c', connections, '-P', pipeline, '-n', requests, '-r', keyCount, '--csv']
      const args = ['-p', port, ...shape, 'INCRBY', 'key:__rand_int__', '1'].map(String)
      const output = await outputOf({ program: 'redis-benchmark', args, cores: loadCores })
      const { requestsPerSecond, latencyMs } = parseRedisBenchmark(output)
      perSecond = requestsPerSecond
      const taken = requests / requestsPerSecond
      return { increments: requests, seconds: taken, failures: 0, underWayMax: 0, latencyMs }
    },
  }
}

/** Its last line: a name, requests a second; then average, least, p50, p95, p99 and largest ms. */
export function parseRedisBenchmark(output: string): {
  requestsPerSecond: number
  latencyMs: Latency
} {
  const last = output.trim().split('\n').at(-1) ?? ''
  const fields = /^"[^"]*"((?:,"[\d.]+"){7})$/
    .exec(last.trim())?.[1]
    ?.match(/[\d.]+/g)
    ?.map(Number)
  if (fields === undefined) throw new Error(`redis-benchmark did not say what it did:\n${output}`)
  return { requestsPerSecond: fields[0]!, latencyMs: { p50: fields[3]!, p99: fields[5]!, p999: null } }
}
