import { type Clock, sleep } from '../../lib/clock.ts'
import type { Log } from '../../lib/process/log.ts'
import { batchIdOf } from '../../batch/batch.ts'
import type { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import {
  leaveBatches,
  listHandovers,
  type Leftover,
  type Place,
  runsOf,
  unwritable,
} from '../../intake/handover/handover-files.ts'
import { systemDisk } from '../../intake/handover/disk.ts'
import { readManifestAt } from '../../intake/handover/file-reader.ts'

const retryIntervalMs = 1_000

export interface LeaveQueueParts {
  readonly queue: EmbeddedQueue
  readonly place: Place
  readonly clock: Clock
  /** How long it is tried: somebody may free space. */
  readonly timeoutMs: number
  readonly log: Log
}

/**
 * Writes down what is in the embedded queue: it dies with this process, unless the web process that sent it
 * has written it down, and one that was killed could not. A file that cannot be written keeps no other from
 * it. Resolves to whether everything is on disk; never rejects.
 */
export async function leaveQueue({ queue, place, clock, timeoutMs, log }: LeaveQueueParts): Promise<boolean> {
  const store = await queue.storeId()
  let left: Leftover[] = [...(await queue.remains())].flatMap(([producer, elements]) =>
    runsOf(elements).map(run => ({ store, producer, elements: run })),
  )
  const deadlineMs = clock.monotonicMs() + timeoutMs
  for (;;) {
    const failed: Leftover[] = []
    for (const leftover of left) {
      try {
        if (!(await isWritten(place, leftover))) failed.push(...leaveBatches(place, leftover, log).unwritten)
      } catch (error) {
        log.fatal({ err: error }, 'what is in the queue cannot be written down')
        failed.push(leftover)
      }
    }
    left = failed
    if (left.length === 0) return true
    if (clock.monotonicMs() >= deadlineMs) break
    await sleep(clock, retryIntervalMs)
  }
  unwritable(left, log)
  return false
}

/** Reports whether a complete file has all of these batches. */
async function isWritten(place: Place, { producer, elements }: Leftover): Promise<boolean> {
  const first = batchIdOf(elements[0]!)!.sequence
  try {
    for (const file of await listHandovers(systemDisk, place)) {
      if (file.producer !== producer) continue
      const manifest = await readManifestAt(systemDisk, file.path).catch(() => null)
      if (manifest === null || manifest.header === null || manifest.producer !== producer) continue
      const { sequenceFirst, batchCount } = manifest
      if (sequenceFirst <= first && sequenceFirst + batchCount >= first + elements.length) return true
    }
    return false
  } catch {
    // A folder that cannot be listed: writing it twice does no harm.
    return false
  }
}
