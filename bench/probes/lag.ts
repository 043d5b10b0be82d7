import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ndjson } from '../loads/driver.ts'
import type { Load } from '../loads/load.ts'
import { vegeta } from '../loads/vegeta.ts'
import { wrk } from '../loads/wrk.ts'
import { formIncrement } from '../peers/peer.ts'
import { type Service, startUp } from './up-service.ts'

const port = 28_421

/** Quantiles in milliseconds: each is the upper end of its bucket in the histogram. */
export interface Lag {
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly batchCount: number
  /** Increments that were answered. */
  readonly perSecond: number
}

/**
 * Measures the time from accepting an increment to its commit, as the store sees it:
 * `piccolo_staleness_seconds`, which observes the oldest increment of each batch; the others in it are
 * younger. Throws if a total is wrong in the end.
 */
export async function measureLag(
  load: Load,
  { seconds, flushIntervalMs }: { seconds: number; flushIntervalMs: number },
): Promise<Lag> {
  const service = await startUp(port, ['--flush-interval-ms', String(flushIntervalMs)])
  const attack = new Attack(service, load)
  try {
    await attack.run(2)
    const before = await bucketsOf(service)
    const perSecond = Math.round(await attack.run(seconds))
    await service.committed()
    const after = await bucketsOf(service)
    attack.check()
    const buckets = after.map(({ upToMs, count }, index) => ({
      upToMs,
      count: count - before[index]!.count,
    }))
    return { perSecond, ...quantiles(buckets) }
  } finally {
    attack.remove()
    await service.stop()
  }
}

/** All that the service is sent, with what it has to come to. */
class Attack {
  readonly #service: Service
  readonly #load: Load
  readonly #folder = mkdtempSync(join(tmpdir(), 'piccolo-lag-'))
  #answered = 0
  #failures = 0
  #underWayMax = 0

  constructor(service: Service, load: Load) {
    this.#service = service
    this.#load = load
  }

  /** Resolves to how many increments were answered in a second. */
  async run(seconds: number): Promise<number> {
    const folder = this.#folder
    const place = { folder, cache: folder, serverCores: null, loadCores: null, seconds }
    const running = { port, request: formIncrement, pids: [], stop: async () => {}, total: async () => null }
    const sample = await this.#load.run(running, place)
    this.#answered += sample.increments
    this.#failures += sample.failures
    this.#underWayMax += sample.underWayMax
    return sample.increments / sample.seconds
  }

  /** Throws if a total is wrong, or a request failed. Everything must be in the database. */
  check(): void {
    const total = Number(this.#service.sql('SELECT sum(value) FROM numbers'))
    const isRight =
      this.#failures === 0 && total >= this.#answered && total <= this.#answered + this.#underWayMax
    if (!isRight)
      throw new Error(`${this.#answered} answered, ${this.#failures} failed, and the total is ${total}`)
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true })
  }
}

interface Bucket {
  readonly upToMs: number
  /** Number of all observations up to there. */
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

function quantiles(buckets: readonly Bucket[]): Omit<Lag, 'perSecond'> {
  const batchCount = buckets.at(-1)?.count ?? 0
  if (batchCount === 0) throw new Error('no batch was committed')
  const at = (share: number) => buckets.find(({ count }) => count >= share * batchCount)!.upToMs
  return { p50: at(0.5), p99: at(0.99), max: at(1), batchCount }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const seconds = Number(process.argv[2] ?? 8)
  const lags: [load: Load, flushIntervalMs: number][] = [
    [vegeta({ rate: 9_000, keyCount: 9_000 }), 100],
    [vegeta({ rate: 9_000, keyCount: 9_000 }), 10],
    [vegeta({ rate: 9_000, keyCount: 100_000 }), 100],
    [wrk({ connections: 64, keyCount: 100_000, pipeline: 1 }), 100],
    [ndjson({ connections: 4, lines: 1_000, keyCount: 100_000 }), 100],
  ]
  for (const [load, flushIntervalMs] of lags) {
    const { p50, p99, max, batchCount, perSecond } = await measureLag(load, { seconds, flushIntervalMs })
    const lag = `p50 ${p50}, p99 ${p99}, max ${max} ms of ${batchCount} batches, ${perSecond} a second`
    console.log(`${load.name}, --flush-interval-ms ${flushIntervalMs}: ${lag}`)
  }
}
