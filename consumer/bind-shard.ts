import type { Log } from '../lib/process/log.ts'
import { queueError } from '../queue/errors.ts'
import type { ConsumerQueue } from '../queue/queue.ts'
import { storeError } from '../store/errors.ts'
import type { Store } from '../store/store.ts'

/**
 * Makes sure that this store is the one that the shard belongs to, and that it has all that was ever
 * confirmed. Throws OperationError `queue_foreign` for a shard of another store, and `store_outdated` for a
 * store that is older than what producers were told (a backup that was put back): they no longer have what
 * it lacks. The operator can accept that loss; the ledger then says how much it was.
 */
export async function bindShard(
  queue: ConsumerQueue,
  store: Store,
  { acceptOlderStore, log }: { acceptOlderStore: boolean; log: Log },
): Promise<void> {
  const boundTo = await queue.bind(store.id)
  if (boundTo !== store.id)
    throw queueError(
      'queue_foreign',
      `the queue belongs to the store ${boundTo}, the database is the store ${store.id}`,
    )
  // The order matters: whatever is confirmed meanwhile was committed before.
  const confirmed = await queue.watermarks()
  const committed = (await store.watermarks()).applied
  const missing = new Map(
    [...confirmed].filter(([producer, watermark]) => watermark > (committed.get(producer) ?? 0)),
  )
  if (missing.size > 0) await acceptLoss(store, missing, { committed, acceptOlderStore, log })
  await publishKnown(queue, store, confirmed)
}

async function acceptLoss(
  store: Store,
  missing: ReadonlyMap<string, number>,
  {
    committed,
    acceptOlderStore,
    log,
  }: { committed: ReadonlyMap<string, number>; acceptOlderStore: boolean; log: Log },
): Promise<void> {
  let batchCount = 0
  for (const [producer, watermark] of missing) batchCount += watermark - (committed.get(producer) ?? 0)
  if (!acceptOlderStore)
    throw storeError(
      'store_outdated',
      `the database lacks ${batchCount} batches of ${missing.size} producers that were confirmed as committed`,
    )
  await store.acceptLoss(missing)
  log.warn({ batchCount, producerCount: missing.size }, 'accepted a database that lacks confirmed batches')
}

/**
 * Tells the queue what was given up: it may have forgotten or never heard, and lets such batches through only
 * where it knows. Also corrects watermarks that others wrote, or that an earlier version left where others
 * write.
 */
async function publishKnown(
  queue: ConsumerQueue,
  store: Store,
  confirmed: ReadonlyMap<string, number>,
): Promise<void> {
  const { applied, givenUp } = await store.watermarks()
  const isKnown = ([producer]: [string, number]) => givenUp.has(producer) || confirmed.has(producer)
  const watermarks = new Map([...applied].filter(isKnown))
  if (watermarks.size === 0) return
  await queue.publish({ watermarks, givenUp, parked: [], outcomes: [], discarded: [] })
}
