import { fileURLToPath } from 'node:url'
import { startFiller } from './filler.ts'
import { startBare, startUp } from './up-service.ts'
import { attack, type Latency, makeTargets } from './vegeta.ts'

const [barePort, upPort, largePort] = [28_411, 28_412, 28_413]
const rate = 9_000
const targetCount = 9_000
/** Distinct keys that an interval of the service with large flushes has, and how long that is. */
const largeKeyCount = 1_000_000
const largeIntervalSeconds = 5

export interface LatencyOptions {
  readonly roundCount: number
  readonly seconds: number
}

export type LatencyName = 'bare uWebSockets.js' | 'piccolo' | 'piccolo, large flushes'
export type Latencies = Record<LatencyName, Latency[]>

/**
 * Latencies at 9,000 requests a second by vegeta, with 9,000 random targets, of a bare server and of one web
 * process in turns. The last one sees the same requests while 200,000 further increments a second with ever
 * new keys come over another connection, as NDJSON, and while it flushes every 5 s: so each flush has a
 * million distinct keys, its encoding and its commits going on beside the requests. Throws if any total is
 * wrong in the end.
 */
export async function measureLatency({ roundCount, seconds }: LatencyOptions): Promise<Latencies> {
  const bare = await startBare(barePort)
  const up = await startUp(upPort)
  const flush = ['--flush-interval-ms', String(largeIntervalSeconds * 1_000), '--keys-max', '4000000']
  const large = await startUp(largePort, [...flush, '--staleness-max-ms', '60000'])
  const targets = [bare, up, large].map(({ url }) => makeTargets(url, targetCount))
  const [toBare, toUp, toLarge] = targets as [(typeof targets)[0], (typeof targets)[0], (typeof targets)[0]]
  const results: Latencies = { 'bare uWebSockets.js': [], piccolo: [], 'piccolo, large flushes': [] }
  let filledCount = 0
  try {
    for (let round = 0; round < roundCount; round++) {
      const load = { rate, seconds, isCounted: true }
      results['bare uWebSockets.js'].push(await attack(toBare, { ...load, isCounted: false }))
      results.piccolo.push(await attack(toUp, load))
      const keysPerSecond = largeKeyCount / largeIntervalSeconds
      const filler = startFiller(large.url, `round ${round}/`, keysPerSecond)
      try {
        results['piccolo, large flushes'].push(await attack(toLarge, { ...load, seconds: 2 * seconds }))
      } finally {
        filledCount += await filler.stop()
      }
      await large.committed()
    }
    await up.committed()
    console.log(toUp.check(up.database))
    console.log(toLarge.check(large.database))
    const filled = large.sql(`SELECT COUNT(*), SUM(value) FROM numbers WHERE key LIKE 'round %'`)
    if (filled !== `${filledCount}|${filledCount}`) throw new Error(`filled ${filledCount}, found ${filled}`)
    console.log(`${filledCount} further keys equal`)
    return results
  } finally {
    for (const each of targets) each.remove()
    await Promise.all([bare.stop(), up.stop(), large.stop()])
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)]!
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [roundCount = 3, seconds = 5] = process.argv.slice(2).map(Number)
  const results = await measureLatency({ roundCount, seconds })
  for (const [name, rounds] of Object.entries(results)) {
    const of = (key: keyof Latency) => median(rounds.map(round => round[key])).toFixed(2)
    console.log(`${name}: p50 ${of('p50')}, p99 ${of('p99')}, p99.9 ${of('p999')}, max ${of('max')} ms`)
  }
  console.log(JSON.stringify(results))
}
