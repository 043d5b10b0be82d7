import { diskBuckets, type Metrics } from '../lib/process/metrics.ts'
import type { CommitResult } from '../store/store.ts'

/** Close together from the shortest flush interval of 0.01 s to twice the default one, up to the bound. */
const stalenessBuckets = [
  0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.175, 0.2,
  0.25, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 5, 10, 30, 60, 300,
]

export class ConsumerMetrics {
  readonly #staleness
  readonly #commit
  #increments = 0
  #batches = 0
  #rows = 0
  #setAside = 0
  #lost = 0
  #recovered = 0
  #duplicates = 0
  #rejected = 0

  constructor(metrics: Metrics) {
    this.#staleness = metrics.histogram(
      'piccolo_staleness_seconds',
      'From accepting the oldest increment of a batch to its commit, one observation a batch',
      stalenessBuckets,
    )
    this.#commit = metrics.histogram('piccolo_commit_seconds', 'Duration of one transaction', diskBuckets)
    const counters: [string, string, () => number][] = [
      ['piccolo_increments_committed_total', 'Increments added to totals', () => this.#increments],
      ['piccolo_batches_committed_total', 'Batches that were added to totals', () => this.#batches],
      ['piccolo_rows_written_total', 'Totals written, one for each key of a transaction', () => this.#rows],
      ['piccolo_sums_set_aside_total', 'Sums that did not fit into a 64-bit total', () => this.#setAside],
      ['piccolo_increments_lost_total', 'Increments that the ledger declared lost', () => this.#lost],
      ['piccolo_increments_recovered_total', 'Of these, what arrived later', () => this.#recovered],
      [
        'piccolo_increments_duplicate_total',
        'Increments of repeated requests, not counted again',
        () => this.#duplicates,
      ],
      ['piccolo_elements_rejected_total', 'Elements of the queue that were no batches', () => this.#rejected],
    ]
    for (const [name, help, read] of counters) metrics.counterOf(name, help, read)
  }

  committed(result: CommitResult, nowMs: number, commitMs: number, rejectedCount: number): void {
    this.#commit.observe(commitMs / 1000)
    for (const batch of result.applied) {
      this.#staleness.observe(Math.max(0, nowMs - batch.oldestMs) / 1000)
      this.#increments += batch.increments
    }
    this.#batches += result.applied.length
    this.#rows += result.rowCount
    this.#setAside += result.setAsideCount
    this.#rejected += rejectedCount
    this.#duplicates += result.duplicateCount
    this.#increments -= result.duplicateCount
    for (const increments of result.lost.values()) this.#lost += increments
    for (const increments of result.recovered.values()) this.#recovered += increments
  }
}
