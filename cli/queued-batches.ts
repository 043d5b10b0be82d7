import { createHash } from 'node:crypto'
import { systemClock, withDeadline } from '../lib/clock.ts'
import { createLog, type Log } from '../lib/log.ts'
import { type QueuedBatch, queuedBatchOf } from '../queue/batch.ts'
import type { EmbeddedQueue } from '../queue/embedded.ts'
import { queueError } from '../queue/errors.ts'
import { listHandovers, readHandover } from '../queue/handover.ts'
import { canonicalPath } from '../store/open.ts'
import { askMark, type Mark, setMark } from './mark.ts'

const pageElementCount = 64
const answerDeadlineMs = 5_000

/** Tells other programs of this machine what waits in the embedded queue of the service with `database`. */
export async function tellQueued(queue: EmbeddedQueue, database: string, log: Log): Promise<Mark> {
  const mark = await setMark(markOf(database), () => JSON.stringify(queue.queued()))
  if (mark === 'taken') log.warn({ database }, 'another piccolo up has this database')
  return mark === null || mark === 'taken' ? { release: () => {} } : mark
}

/**
 * What waits in the embedded queue of the service with `database`; null when no such service runs here.
 * Throws OperationError when it does not answer.
 */
export async function queuedInService(database: string): Promise<QueuedBatch[] | null> {
  const late = () =>
    queueError(
      'queue_timeout',
      `piccolo up did not say within ${answerDeadlineMs} ms what waits in its queue`,
    )
  const answer = await withDeadline(systemClock, answerDeadlineMs, askMark(markOf(database)), late)
  if (answer === null) return null
  try {
    return JSON.parse(answer)
  } catch (error) {
    throw queueError('queue_gone', 'piccolo up ended while it said what waits in its queue', error)
  }
}

/** What waits in Redis. Throws OperationError when it cannot be asked. */
export async function queuedInRedis(url: string): Promise<QueuedBatch[]> {
  const { RedisQueue } = await import('../queue/redis.ts')
  const log = createLog({ level: 'silent', format: 'json', process: 'verify', isTerminal: false })
  const queue = new RedisQueue({ url, shardIndex: 0, clock: systemClock, log, onlyLooks: true })
  try {
    await queue.connect()
    const queued: QueuedBatch[] = []
    for (let start = 0; ; start += pageElementCount) {
      const elements = await queue.page(start, pageElementCount)
      queued.push(...batchesOf(elements))
      if (elements.length < pageElementCount) return queued
    }
  } finally {
    await queue.close()
  }
}

/** What stopped web processes could not hand on, and left beside the database for the next start. */
export function leftBeside(database: string): QueuedBatch[] {
  return listHandovers(database).flatMap(({ path }) => batchesOf(readHandover(path) ?? []))
}

function batchesOf(elements: readonly string[]): QueuedBatch[] {
  return elements.map(queuedBatchOf).filter(batch => batch !== null)
}

/** A name of bounded length for a path of any. */
function markOf(database: string): string {
  return `queue/${createHash('sha256').update(canonicalPath(database)).digest('hex')}`
}
