import type { EventEmitter } from 'node:events'
import { errorText } from '../../lib/errors.ts'
import { queueError } from '../errors.ts'
import { forbiddenPattern } from './errors.ts'

const versionMajorMin = 6

export interface RedisServer {
  readonly major: number
  /** False where INFO is forbidden: Redis may evict what it is given. */
  readonly isPolicyKnown: boolean
}

interface Informant {
  info(section: string): Promise<string>
  /** Always allowed, from Redis 6.0 on. */
  call(command: 'HELLO'): Promise<unknown>
}

/**
 * Refuses a server that could not keep what it is given: one that is too old for our scripts, or one that may
 * evict Redis keys. Throws OperationError. A proxy or a hosted service that does not tell its policy is given
 * the benefit of the doubt.
 */
export async function checkRedisServer(redis: Informant): Promise<RedisServer> {
  const [server, memory] = await Promise.all([informed(redis, 'server'), informed(redis, 'memory')])
  const version = server === null ? await helloVersion(redis) : /^redis_version:(\S+)/m.exec(server)?.[1]
  const major = Number.parseInt(version ?? '', 10) || 0
  if (major < versionMajorMin)
    throw queueError('queue_too_old', `Redis ${version ?? 'of unknown version'} is too old`)
  const policy = memory && /^maxmemory_policy:(\S+)/m.exec(memory)?.[1]
  if (policy && policy !== 'noeviction')
    throw queueError('queue_eviction', `Redis has maxmemory-policy ${policy} and may throw batches away`)
  return { major, isPolicyKnown: memory !== null }
}

/** Resolves to a section of INFO; null where INFO is forbidden, or was renamed. */
async function informed(redis: Informant, section: string): Promise<string | null> {
  try {
    return await redis.info(section)
  } catch (error) {
    if (forbiddenPattern.test(errorText(error)) || isUnknownCommand(error)) return null
    throw error
  }
}

async function helloVersion(redis: Informant): Promise<string | undefined> {
  try {
    const greeting = (await redis.call('HELLO')) as unknown[]
    const index = greeting.indexOf('version')
    return index === -1 ? undefined : String(greeting[index + 1])
  } catch (error) {
    if (isUnknownCommand(error)) return undefined
    throw error
  }
}

function isUnknownCommand(error: unknown): boolean {
  return /unknown command/i.test(errorText(error))
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
