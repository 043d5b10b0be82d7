import { type Clock, sleep } from '../../lib/clock.ts'
import { type Log, RepeatedError } from '../../lib/process/log.ts'
import type { OpenFile } from './disk.ts'
import { type Manifest, readElements } from './file-reader.ts'
import type { ProducerQueue } from '../../queue/queue.ts'
import { BatchSender } from '../send/batch-sender.ts'
import { Producer } from '../send/producer.ts'

const retryIntervalMs = 100
/** Bytes read and not yet confirmed; one batch more is possible. */
const aheadBytesMax = 8 * 1024 * 1024

export interface DeliveryParts {
  readonly file: OpenFile
  readonly manifest: Manifest
  readonly queue: ProducerQueue
  readonly clock: Clock
  readonly log: Log
  /** Reports whether to give up after so long without progress. */
  readonly isToEnd: (idleMs: number) => boolean
}

/**
 * Pushes the batches of a hand-over file, reading no further ahead than the queue takes them. Resolves to
 * whether the store has them all; rejects when the file is no longer what it was.
 */
export async function deliverFile(parts: DeliveryParts): Promise<boolean> {
  const { file, manifest, queue, clock, log, isToEnd } = parts
  const producer = Producer.resumed(manifest.producer, manifest.sequenceFirst)
  const error = new RepeatedError(log, clock, 'left batches cannot be pushed')
  const sender = new BatchSender(producer, queue, clock, error)
  const elements = readElements(file, manifest)
  const beganMs = clock.monotonicMs()
  let progressMs = beganMs
  let isRead = false
  for (;;) {
    while (!isRead && producer.hasRoom && producer.unconfirmedBytes < aheadBytesMax) {
      const next = await elements.next()
      if (next.done) isRead = true
      else producer.seal(() => next.value, beganMs)
    }
    if (producer.unconfirmed.length === 0) return true
    if (isToEnd(clock.monotonicMs() - progressMs)) return false
    const { firstUnconfirmed } = producer
    await sender.deliver()
    if (producer.firstUnconfirmed > firstUnconfirmed) progressMs = clock.monotonicMs()
    else await sleep(clock, retryIntervalMs)
  }
}
