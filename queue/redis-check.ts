import type { EventEmitter } from 'node:events'
import { queueError } from './errors.ts'

const versionMajorMin = 6

export interface RedisVersion {
  readonly major: number
}

/**
 * Refuses a server that could not keep what it is given: one that is too old for our scripts, or one that
 * may evict keys. Throws OperationError. A proxy or a hosted service that does not tell its policy is given
 * the benefit of the doubt.
 */
export async function checkRedisServer(redis: {
  info(section: string): Promise<string>
}): Promise<RedisVersion> {
  const version = /^redis_version:(\d+)\.(\S*)/m.exec(await redis.info('server'))
  const major = Number(version?.[1] ?? 0)
  if (major < versionMajorMin)
    throw queueError(
      'queue_too_old',
      `Redis ${version?.slice(1).join('.') ?? 'of unknown version'} is too old`,
    )
  const policy = /^maxmemory_policy:(\S+)/m.exec(await redis.info('memory'))?.[1]
  if (policy !== undefined && policy !== 'noeviction')
    throw queueError('queue_eviction', `Redis has maxmemory-policy ${policy} and may throw batches away`)
  return { major }
}

/** Resolves when a client that is connecting can be used; rejects when this try has failed. */
export function whenReady(redis: Pick<EventEmitter, 'once' | 'off'>): Promise<void> {
  return new Promise((resolve, reject) => {
    const ready = () => {
      redis.off('close', closed)
      resolve()
    }
    const closed = () => {
      redis.off('ready', ready)
      reject(new Error('the connection was closed'))
    }
    redis.once('ready', ready)
    redis.once('close', closed)
  })
}
