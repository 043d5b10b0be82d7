import { diskBuckets, type Metrics } from '../../lib/process/metrics.ts'

interface Measured {
  logBytes(): number
  idempotencyKeyCount(): number
}

/** Publishes the metrics of a SQLite database; returns what hears how long each checkpoint took, in ms. */
export function publishStoreMetrics(metrics: Metrics, store: Measured): (checkpointMs: number) => void {
  metrics.gaugeOf('piccolo_wal_bytes', "Size of the database's write-ahead log", () => store.logBytes())
  metrics.gaugeOf('piccolo_idempotency_keys', 'Idempotency keys that are kept', () =>
    store.idempotencyKeyCount(),
  )
  const checkpoints = metrics.histogram(
    'piccolo_checkpoint_seconds',
    'Moving what is committed from the write-ahead log to the database file, one observation a time',
    diskBuckets,
  )
  return ms => checkpoints.observe(ms / 1000)
}
