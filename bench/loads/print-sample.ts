import { percentile } from '../report/statistics.ts'
import type { Sample } from './load.ts'

/** A driver's result, as its only line of output. Latencies are of requests, in milliseconds. */
export function printSample(sample: Omit<Sample, 'latencyMs'>, latenciesMs: readonly number[]): void {
  const latencyMs =
    latenciesMs.length === 0
      ? null
      : {
          p50: percentile(latenciesMs, 0.5),
          p99: percentile(latenciesMs, 0.99),
          p999: latenciesMs.length < 1_000 ? null : percentile(latenciesMs, 0.999),
        }
  process.stdout.write(`${JSON.stringify({ ...sample, latencyMs } satisfies Sample)}\n`)
}
