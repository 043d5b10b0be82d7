import { type ErrorPolicy, OperationError } from '../lib/errors.ts'
import { batchErrors } from '../batch/errors.ts'
import { redisRights } from './redis/rights.ts'

/** Errors of a queue, and how to go on after each; documented in docs/operations.md. */
export const queueErrors = {
  queue_unreachable: {
    retry: 'soon',
    hint: 'start Redis, or correct --redis; increments wait in memory until then',
  },
  queue_timeout: {
    retry: 'soon',
    hint: 'the queue answers too slowly; look at the load of its machine, and for Redis at its disk and SLOWLOG',
  },
  queue_full: {
    retry: 'later',
    hint: 'raise maxmemory of Redis, or start the consumer, which empties the queue',
  },
  queue_long: {
    retry: 'soon',
    hint: 'the consumer does not keep up, or is away; look at its log and its disk',
  },
  queue_read_only: { retry: 'later', hint: '--redis points to a replica; point it to the primary' },
  queue_loading: { retry: 'later', hint: 'Redis is loading its data and will answer when that is done' },
  queue_refused: { retry: 'later', hint: 'Redis answers with an error; its message says why' },
  queue_credentials: { retry: 'later', hint: 'give the right user and password in --redis' },
  queue_forbidden: {
    retry: 'later',
    hint: `give the Redis user its rights: ACL SETUSER NAME ${redisRights} (and +select for a database of its own)`,
  },
  queue_eviction: {
    retry: 'never',
    hint: 'run CONFIG SET maxmemory-policy noeviction, and set it in redis.conf',
  },
  queue_too_old: { retry: 'never', hint: 'use Redis 6.0 or later' },
  queue_foreign: {
    retry: 'never',
    hint: 'the queue belongs to another database; correct --redis or --database',
  },
  queue_altered: {
    retry: 'soon',
    hint: 'something else writes to the keys piccolo:* of Redis; what it made wrong is pushed again',
  },
  queue_gone: {
    retry: 'never',
    hint: 'the process that held the embedded queue ended; start piccolo up again',
  },
  ...batchErrors,
} as const satisfies Record<string, ErrorPolicy>

export type QueueErrorCode = keyof typeof queueErrors

export function queueError(code: QueueErrorCode, message: string, cause?: unknown): OperationError {
  return new OperationError(code, queueErrors[code], message, cause)
}

/** The same error for a service that runs: what an operator has to fix may pass while it waits. */
export function passingError(error: OperationError): OperationError {
  const { code, policy, message, cause } = error
  return policy.retry === 'never'
    ? new OperationError(code, { ...policy, retry: 'later' }, message, cause)
    : error
}
