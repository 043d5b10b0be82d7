import { fileURLToPath } from 'node:url'
import { type Service, startUp } from './up-service.ts'
import { attack, makeTargets } from './vegeta.ts'

/** In milliseconds: the upper end of the bucket of the histogram in which the quantile lies. */
export interface Lag {
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly batchCount: number
}

export interface LagOptions {
  readonly rate: number
  readonly seconds: number
  readonly targetCount: number
  readonly flushIntervalMs: number
}

/**
 * From accepting an increment to its commit, as the store has it: `piccolo_staleness_seconds`, which observes
 * the oldest increment of each batch; the others in it are younger. Load by vegeta at a constant rate. Throws
 * if a total is wrong in the end.
 */
export async function measureLag(load: LagOptions): Promise<Lag> {
  const service = await startUp(28_421, ['--flush-interval-ms', String(load.flushIntervalMs)])
  const targets = makeTargets(service.url, load.targetCount)
  try {
    await attack(targets, { rate: load.rate, seconds: 2, isCounted: true })
    const before = await bucketsOf(service)
    await attack(targets, { rate: load.rate, seconds: load.seconds, isCounted: true })
    await service.committed()
    const after = await bucketsOf(service)
    targets.check(service.database)
    return quantiles(
      after.map(({ upToMs, count }, index) => ({ upToMs, count: count - before[index]!.count })),
    )
  } finally {
    targets.remove()
    await service.stop()
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
  for (const [targetCount, flushIntervalMs] of [
    [9_000, 100],
    [9_000, 10],
    [100_000, 100],
  ] as const) {
    const lag = await measureLag({ rate: 9_000, seconds, targetCount, flushIntervalMs })
    const where = `${targetCount} targets, --flush-interval-ms ${flushIntervalMs}`
    console.log(`${where}: p50 ${lag.p50}, p99 ${lag.p99}, max ${lag.max} ms of ${lag.batchCount} batches`)
  }
}
