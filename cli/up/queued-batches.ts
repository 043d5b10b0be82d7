import { handoverError } from '../../intake/handover/errors.ts'
import { systemClock } from '../../lib/clock.ts'
import { errorText, exitCodes, OperationError, UsageError } from '../../lib/errors.ts'
import { createLog, type Log } from '../../lib/process/log.ts'
import { type QueuedBatch, queuedBatchOf } from '../../batch/batch.ts'
import type { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import { queueError } from '../../queue/errors.ts'
import { listHandovers, type Place } from '../../intake/handover/handover-files.ts'
import { isNotFound, systemDisk } from '../../intake/handover/disk.ts'
import { readManifestAt } from '../../intake/handover/file-reader.ts'
import { listBatchesMax } from '../../queue/limits.ts'
import { askQueueSocket, openQueueSocket, type QueueSocket } from './queue-socket.ts'

type Environment = Readonly<Record<string, string | undefined>>

const pageElementCount = 64
/** One batch as `tellQueued` writes it. */
const entryBytesMax = 160

/**
 * Tells other programs of this user or group what waits in the embedded queue, if there is a place for a
 * socket. Throws OperationError when the folder of the database cannot be made.
 */
export async function tellQueued(
  queue: EmbeddedQueue,
  place: Place,
  environment: Environment,
  log: Log,
): Promise<QueueSocket> {
  const nobody = { release: () => {} }
  try {
    const socket = await openQueueSocket(place, environment, () => JSON.stringify(queue.queued()))
    if (socket !== 'taken') return socket
    log.warn({ database: place.database }, 'another piccolo up has this database')
  } catch (error) {
    if (error instanceof OperationError) throw error
    log.warn({ reason: errorText(error) }, 'there is no place for a socket: verify cannot ask what is queued')
  }
  return nobody
}

/**
 * Returns the batches in the embedded queue of the service with this database; null when no such service runs
 * here. Throws OperationError when it does not answer in time, and UsageError for an answer that is none.
 */
export async function queuedInService(
  place: Place,
  environment: Environment,
): Promise<readonly QueuedBatch[] | null> {
  let answer: string | null
  try {
    answer = await askQueueSocket(place, environment, listBatchesMax * entryBytesMax)
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw queueError('queue_timeout', 'piccolo up did not say in time what waits in its queue', error)
  }
  return answer === null ? null : parseQueued(answer)
}

/** Parses an answer, which may be anybody's: nothing is taken, or shown, that does not look as it should. */
function parseQueued(answer: string): readonly QueuedBatch[] {
  try {
    const batches: unknown = JSON.parse(answer)
    if (Array.isArray(batches) && batches.length <= listBatchesMax && batches.every(isQueuedBatch))
      return batches
  } catch {
    // It is no JSON.
  }
  throw new UsageError('the service does not say what waits in its queue; try again', exitCodes.unavailable)
}

function isQueuedBatch(value: unknown): value is QueuedBatch {
  const { producer, sequence, increments } = (value ?? {}) as Partial<QueuedBatch>
  const isProducer = typeof producer === 'string' && /^[0-9a-f]{8,64}$/.test(producer)
  return isProducer && isCount(sequence) && isCount(increments)
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Returns the batches in Redis. Throws OperationError when it cannot be asked. */
export async function queuedInRedis(url: string): Promise<QueuedBatch[]> {
  const { RedisQueue } = await import('../../queue/redis/redis-queue.ts')
  const log = createLog({ level: 'silent', format: 'json', process: 'verify', isTerminal: false })
  const queue = new RedisQueue({ url, shardIndex: 0, clock: systemClock, log, onlyLooks: true })
  try {
    await queue.connect()
    const queued: QueuedBatch[] = []
    for (let start = 0; ; start += pageElementCount) {
      const elements = await queue.page(start, pageElementCount)
      queued.push(...elements.map(queuedBatchOf).filter(batch => batch !== null))
      if (elements.length < pageElementCount) return queued
    }
  } finally {
    await queue.close()
  }
}

/** Batches that stopped processes could not hand on, and left for the next start. */
export interface LeftBehind {
  readonly batches: readonly QueuedBatch[]
  /** A line for each file that is not delivered, with the reason. */
  readonly others: readonly string[]
}

export async function leftBehind(place: Place, store: string): Promise<LeftBehind> {
  const batches: QueuedBatch[] = []
  const others: string[] = []
  for (const { path } of await listHandovers(systemDisk, place)) {
    const found: QueuedBatch[] = []
    try {
      const { header } = await readManifestAt(systemDisk, path, { onBatch: batch => found.push(batch) })
      const isForeign = header !== null && header.store !== null && header.store !== store
      if (isForeign) throw handoverError('handover_foreign', `it is of the store ${header.store}`)
      batches.push(...found)
    } catch (error) {
      if (!isNotFound(error)) others.push(`${JSON.stringify(path)} is not delivered: ${errorText(error)}`)
    }
  }
  return { batches, others }
}
