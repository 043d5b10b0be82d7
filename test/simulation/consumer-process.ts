import { pino } from 'pino'
import { bindShard } from '../../consumer/bind-shard.ts'
import { Consumer } from '../../consumer/consumer.ts'
import { FailureDetector } from '../../consumer/failure-detector.ts'
import { mayArrive } from '../../intake/handover/may-arrive.ts'
import { ConsumerMetrics } from '../../consumer/metrics.ts'
import { prepareElements } from '../../consumer/prepare/prepare.ts'
import type { PrefetcherParts } from '../../consumer/prefetcher.ts'
import { Metrics } from '../../lib/process/metrics.ts'
import { readBytesMax } from '../../queue/limits.ts'
import type { Element } from '../../batch/batch.ts'
import type { Store } from '../../store/store.ts'
import type { Random } from '../kit/random.ts'
import type { FaultyQueue } from './faulty-queue.ts'
import type { Life, SimulatedTime } from './time.ts'

const log = pino({ level: 'silent' })
export const producerGoneAfterMs = 20_000

/** A few batches at a time, and at times the next ones ahead, however short the list is. */
function randomPrefetcherParts(random: Random): PrefetcherParts {
  const size = {
    next: () => ({ batchesMax: 1 + random.below(8), bytesMax: readBytesMax }),
    isFull: ({ batchCount }: { batchCount: number }) => batchCount > 0 && random.chance(0.5),
    committed: () => {},
  }
  // Without a thread, which would have a time of its own.
  const preparer = {
    prepare: async (elements: readonly Element[]) => prepareElements(elements),
    close: async () => {},
  }
  return { size, preparer }
}

/** The consumer's process: put together from the same parts as in consumer/main.ts. */
export class ConsumerProcess {
  readonly life: Life
  readonly #queue: FaultyQueue
  readonly #store: Store
  readonly #consumer: Consumer

  constructor(parts: {
    life: Life
    queue: FaultyQueue
    time: SimulatedTime
    store: Store
    database: string
    random: Random
  }) {
    const { life, queue, time, store, database, random } = parts
    const clock = time.clockOf(life)
    const place = { database, stateDir: null }
    const failureDetector = new FailureDetector(clock, producerGoneAfterMs, mayArrive(place, clock, log))
    const metrics = new ConsumerMetrics(new Metrics('consumer'))
    this.life = life
    this.#queue = queue
    this.#store = store
    const prefetcherParts = randomPrefetcherParts(random)
    this.#consumer = new Consumer({
      queue,
      store,
      clock,
      log,
      failureDetector,
      metrics,
      prefetcherParts,
    })
  }

  /** Resolves when it has been stopped; rejects when it needs a fresh process. */
  async run(): Promise<void> {
    await bindShard(this.#queue, this.#store, { acceptOlderStore: false, log })
    await this.#consumer.run()
  }

  stop(): Promise<void> {
    return this.#consumer.stop(10_000)
  }
}
