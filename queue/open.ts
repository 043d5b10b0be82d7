import type { Channel } from '../lib/process/channel.ts'
import type { Clock } from '../lib/clock.ts'
import { UsageError } from '../lib/errors.ts'
import type { Log } from '../lib/process/log.ts'
import { connectEmbeddedQueue } from './embedded/ipc.ts'
import type { ConsumerQueue, ProducerQueue } from './queue.ts'

export interface QueueOptions {
  /** Where Redis is; null for the embedded queue, at the other end of `parent`. */
  readonly redis: string | null
  readonly parent: Channel | null
  /** Who asks, as in `piccolo web`. */
  readonly role: 'web' | 'consumer'
  /** See RedisConnectionOptions. */
  readonly isRestart?: boolean
  readonly clock: Clock
  readonly log: Log
}

/** The queue of the first shard, not yet connected. Throws UsageError when there is neither kind of queue. */
export async function openQueue(options: QueueOptions): Promise<ProducerQueue & ConsumerQueue> {
  const { redis, parent, role, clock, log, isRestart = false } = options
  if (redis !== null) {
    // The client for Redis takes as long to load as all the rest, so it loads where it is used.
    const { RedisQueue } = await import('./redis/redis-queue.ts')
    return new RedisQueue({ url: redis, shardIndex: 0, clock, log, isRestart })
  }
  if (parent !== null) return connectEmbeddedQueue(parent, clock)
  throw new UsageError(
    `piccolo ${role} needs --redis; without Redis, piccolo up runs everything on this machine`,
  )
}
