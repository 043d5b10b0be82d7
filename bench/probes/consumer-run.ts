import { Consumer } from '../../consumer/consumer.ts'
import { FailureDetector } from '../../consumer/failure-detector.ts'
import { ConsumerMetrics } from '../../consumer/metrics.ts'
import { systemClock } from '../../lib/clock.ts'
import { createLog } from '../../lib/process/log.ts'
import { Metrics } from '../../lib/process/metrics.ts'
import { type Batch, newProducerId } from '../../batch/batch.ts'
import { encodeBatch } from '../../batch/writer.ts'
import { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import type { ReadBounds } from '../../queue/queue.ts'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import type { CommitRequest, CommitResult, Store } from '../../store/store.ts'

/**
 * The embedded queue, closed while it is being filled. Remembers when the consumer began, and ends when it
 * asks for more and there is none: what it does after its last commit is its work, too.
 */
class GatedQueue extends EmbeddedQueue {
  isOpen = false
  startedMs: number | null = null
  emptied: (endedMs: number) => void = () => {}

  override async read(bounds: ReadBounds): Promise<string[]> {
    if (!this.isOpen) return []
    const isFirst = this.startedMs === null
    this.startedMs ??= systemClock.monotonicMs()
    if (!isFirst && (await this.length()) === 0) this.emptied(systemClock.monotonicMs())
    return super.read(bounds)
  }
}

/** The consumer of production on a database. */
export class ConsumerRun {
  readonly producer = newProducerId()
  /** What a bare loop has to be given to be like it. */
  readonly pragmas: readonly string[] = ['wal_autocheckpoint = 8192', 'cache_size = -16384']
  readonly #queue = new GatedQueue(systemClock)
  readonly #store: Store
  readonly #consumer: Consumer
  #sequence = 0
  #transactions: (readonly Batch[])[] = []

  constructor(path: string) {
    const log = createLog({ level: 'silent', format: 'json', process: 'bench', isTerminal: false })
    this.#store = openSqliteStore(path, { clock: systemClock, log, idempotencyWindowMs: 86_400_000 })
    this.#consumer = new Consumer({
      queue: this.#queue,
      store: this.#recording(),
      clock: systemClock,
      log,
      metrics: new ConsumerMetrics(new Metrics('bench')),
      failureDetector: new FailureDetector(systemClock, 60_000, () => false),
    })
    void this.#consumer.run()
  }

  nextSequence(): number {
    return ++this.#sequence
  }

  /** Resolves when all of them are committed and published; with the batches of each transaction. */
  async work(batches: readonly Batch[]) {
    this.#transactions = []
    this.#queue.isOpen = false
    this.#queue.startedMs = null
    for (const batch of batches) {
      const { producer, sequence } = batch
      await this.#queue.push({ producer, sequence, firstUnconfirmed: 1, element: encodeBatch(batch) })
    }
    const endedMs = await new Promise<number>(resolve => {
      this.#queue.emptied = resolve
      this.#queue.isOpen = true
    })
    return { elapsedMs: endedMs - this.#queue.startedMs!, transactions: this.#transactions }
  }

  async close(): Promise<void> {
    await this.#consumer.stop(10_000)
    await this.#store.close()
  }

  #recording(): Store {
    const commit = async (request: CommitRequest): Promise<CommitResult> => {
      const result = await this.#store.commit(request)
      this.#transactions.push(result.applied)
      return result
    }
    return new Proxy(this.#store, {
      get(target, name) {
        const value: unknown = name === 'commit' ? commit : Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
}
