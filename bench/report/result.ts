import type { Latency } from '../loads/load.ts'
import { median } from './statistics.ts'

/** One round of one candidate. CPU times are of its server, for one increment. */
export interface Round {
  readonly incrementsPerSecond: number
  /** CPU time of all its processes, in microseconds. */
  readonly cpuUs: number
  /** CPU time of the process that answers, in microseconds. */
  readonly frontCpuUs: number
  readonly failures: number
  readonly latencyMs: Latency | null
}

/** Medians of the rounds. */
export interface Summary {
  readonly incrementsPerSecond: number
  readonly cpuUs: number
  readonly frontCpuUs: number
  /** The subject of the benchmark as a multiple of the first candidate's, round by round. */
  readonly ratio: number
  readonly latencyMs: Latency | null
}

/** A point on a line of a chart: `x` grows from point to point. */
export interface Point {
  readonly line: string
  readonly x: number
}

export interface Entry extends Summary {
  readonly name: string
  readonly does: string
  readonly load: string
  readonly point?: Point
  readonly rounds: readonly Round[]
  /** The total that the peer kept, beside what was answered or sent; null when it cannot tell. */
  readonly counted: { readonly answered: number; readonly total: number; readonly share: number } | null
}

/** The document that a run of one benchmark leaves behind. */
export interface Result {
  readonly benchmark: string
  readonly title: string
  readonly about: string
  readonly subject: Subject
  /** The document has a chart of it. */
  readonly isCharted: boolean
  readonly date: string
  readonly rounds: number
  readonly seconds: number
  readonly machine: Readonly<Record<string, string>>
  readonly entries: readonly Entry[]
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
}

/** The subject of a benchmark: one number of each round. */
export type Subject = 'frontCpuUs' | 'cpuUs' | 'incrementsPerSecond' | 'p99'

export function subjectOf(measured: Round | Summary, subject: Subject): number {
  return subject === 'p99' ? (measured.latencyMs?.p99 ?? Number.NaN) : measured[subject]
}

export function summary(rounds: readonly Round[], baseline: readonly Round[], subject: Subject): Summary {
  const of = (pick: (round: Round) => number) => median(rounds.map(pick))
  const latencies = rounds.map(round => round.latencyMs).filter(latency => latency !== null)
  return {
    incrementsPerSecond: of(round => round.incrementsPerSecond),
    cpuUs: of(round => round.cpuUs),
    frontCpuUs: of(round => round.frontCpuUs),
    ratio: median(
      rounds.map((round, index) => subjectOf(round, subject) / subjectOf(baseline[index]!, subject)),
    ),
    latencyMs: latencies.length === 0 ? null : medianLatency(latencies),
  }
}

function medianLatency(latencies: readonly Latency[]): Latency {
  const p999s = latencies.map(latency => latency.p999).filter(value => value !== null)
  return {
    p50: median(latencies.map(latency => latency.p50)),
    p99: median(latencies.map(latency => latency.p99)),
    p999: p999s.length === 0 ? null : median(p999s),
  }
}
