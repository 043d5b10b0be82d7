import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ndjson } from '../loads/driver.ts'
import type { Load } from '../loads/load.ts'
import { wrk } from '../loads/wrk.ts'
import { formIncrement } from '../rivals/rival.ts'
import { type Service, startUp } from './up-service.ts'
import { attack, makeTargets } from './vegeta.ts'

const port = 28_421
const connections = 64

/** In milliseconds: the upper end of the bucket of the histogram in which the quantile lies. */
export interface Lag {
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly batchCount: number
}

/** What a service is loaded with. */
interface Attack {
  run(seconds: number): Promise<void>
  /** Once everything is in the database: throws if a total is wrong, or a request failed. */
  check(): void
  remove(): void
}

/**
 * From accepting an increment to its commit, as the store has it: `piccolo_staleness_seconds`, which observes
 * the oldest increment of each batch; the others in it are younger. Throws if a total is wrong in the end.
 */
export async function measureLag(
  attackOn: (service: Service) => Attack,
  { seconds, flushIntervalMs }: { seconds: number; flushIntervalMs: number },
): Promise<Lag> {
  const service = await startUp(port, ['--flush-interval-ms', String(flushIntervalMs)])
  const attack = attackOn(service)
  try {
    await attack.run(2)
    const before = await bucketsOf(service)
    await attack.run(seconds)
    await service.committed()
    const after = await bucketsOf(service)
    attack.check()
    return quantiles(
      after.map(({ upToMs, count }, index) => ({ upToMs, count: count - before[index]!.count })),
    )
  } finally {
    attack.remove()
    await service.stop()
  }
}

/** By vegeta, whose targets say what each total must be. */
function constantRate(service: Service, targetCount: number): Attack {
  const targets = makeTargets(service.url, targetCount)
  return {
    run: async seconds => {
      await attack(targets, { rate: 9_000, seconds, isCounted: true })
    },
    check: () => targets.check(service.database),
    remove: targets.remove,
  }
}

/** As much as the service takes; of increments by 1. */
function closedLoop(service: Service, load: Load): Attack {
  const folder = mkdtempSync(join(tmpdir(), 'piccolo-lag-'))
  const place = { folder, cache: folder, serverCores: null, loadCores: null }
  const running = { port, request: formIncrement, pids: [], stop: async () => {}, total: async () => null }
  let [answered, failures, underWayMax] = [0, 0, 0]
  return {
    run: async seconds => {
      const sample = await load.run(running, { ...place, seconds })
      answered += sample.increments
      failures += sample.failures
      underWayMax += sample.underWayMax
      console.log(`  ${Math.round(sample.increments / sample.seconds)} increments a second`)
    },
    check: () => {
      const total = Number(service.sql('SELECT sum(value) FROM numbers'))
      const isRight = failures === 0 && total >= answered && total <= answered + underWayMax
      if (!isRight) throw new Error(`${answered} answered, ${failures} failed, and the total is ${total}`)
    },
    remove: () => rmSync(folder, { recursive: true }),
  }
}

interface Bucket {
  readonly upToMs: number
  /** Of all observations up to there. */
  readonly count: number
}

async function bucketsOf(service: Service): Promise<Bucket[]> {
  const text = await service.metrics()
  const lines = text.matchAll(/^piccolo_staleness_seconds_bucket\{le="([^"]+)"[^}]*\} (\d+)$/gm)
  return [...lines].map(([, le, count]) => ({
    upToMs: le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le) * 1_000,
    count: Number(count),
  }))
}

function quantiles(buckets: readonly Bucket[]): Lag {
  const batchCount = buckets.at(-1)?.count ?? 0
  if (batchCount === 0) throw new Error('no batch was committed')
  const at = (share: number) => buckets.find(({ count }) => count >= share * batchCount)!.upToMs
  return { p50: at(0.5), p99: at(0.99), max: at(1), batchCount }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const seconds = Number(process.argv[2] ?? 8)
  const singly = wrk({ connections, keyCount: 100_000, pipeline: 1 })
  const inBatches = ndjson({ connections: 4, lines: 1_000, keyCount: 100_000 })
  const lags: [name: string, flushIntervalMs: number, attackOn: (service: Service) => Attack][] = [
    ['9000 targets at 9000/s', 100, service => constantRate(service, 9_000)],
    ['9000 targets at 9000/s', 10, service => constantRate(service, 9_000)],
    ['100000 targets at 9000/s', 100, service => constantRate(service, 100_000)],
    [singly.name, 100, service => closedLoop(service, singly)],
    [inBatches.name, 100, service => closedLoop(service, inBatches)],
  ]
  for (const [name, flushIntervalMs, attackOn] of lags) {
    const { p50, p99, max, batchCount } = await measureLag(attackOn, { seconds, flushIntervalMs })
    const lag = `p50 ${p50}, p99 ${p99}, max ${max} ms of ${batchCount} batches`
    console.log(`${name}, --flush-interval-ms ${flushIntervalMs}: ${lag}`)
  }
}
