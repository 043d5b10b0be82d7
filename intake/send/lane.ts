import type { Clock } from '../../lib/clock.ts'
import { type Log, RepeatedError } from '../../lib/process/log.ts'
import { newProducerId } from '../../batch/batch.ts'
import type { ProducerQueue } from '../../queue/queue.ts'
import { AckWaiters } from './ack-waiters.ts'
import { BatchSender } from './batch-sender.ts'
import { Flusher, type FlusherOptions } from './flusher.ts'
import { Producer } from './producer.ts'

export interface LaneOptions extends Pick<FlusherOptions, 'flushIntervalMs' | 'keysMax'> {
  /** The time a request waits for its acknowledgement at most. */
  readonly ackTimeoutMs: number
}

/** The parts that one process keeps for one shard: increments enter at the flusher, batches leave to the queue. */
export interface Lane {
  readonly flusher: Flusher
  readonly producer: Producer
  readonly ackWaiters: AckWaiters
  /** The error that keeps batches from the queue. */
  readonly queueError: RepeatedError
}

export function newLane(queue: ProducerQueue, options: LaneOptions, clock: Clock, log: Log): Lane {
  const { flushIntervalMs, keysMax, ackTimeoutMs } = options
  const queueError = new RepeatedError(log, clock, 'batches cannot be pushed')
  const ackWaiters = new AckWaiters(clock, ackTimeoutMs)
  const producer = new Producer(newProducerId())
  const sender = new BatchSender(producer, queue, clock, queueError, position =>
    ackWaiters.progress(position),
  )
  const flusher = new Flusher({ sender, queue, clock, flushIntervalMs, keysMax, ackWaiters })
  return { flusher, producer, ackWaiters, queueError }
}
