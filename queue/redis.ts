import { Redis, type RedisOptions } from 'ioredis'
import { type Clock, withDeadline } from '../lib/clock.ts'
import { errorText, OperationError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { makeStringMethodsFast } from '../lib/string-methods.ts'
import { queueError } from './errors.ts'
import { redisUrlToShow } from './options.ts'
import { listBatchesMax, readBatchesMax, readBytesMax, readBytesMin } from './limits.ts'
import type { ConsumerQueue, Position, ProducerQueue, Publication, Push, ReadBounds } from './queue.ts'
import { checkRedisServer, whenReady } from './redis-check.ts'
import { classifyRedisError } from './redis-errors.ts'
import { readPosition } from './redis-position.ts'
import { type RedisCommand, redisCommands, redisKeys } from './redis-scripts.ts'

/** How long one call may take; after that its fate is unknown and the caller tries again. */
const callDeadlineMs = 2_000
/**
 * A connection that owes an answer and says nothing for so long is cut: a half-open one would stall for
 * minutes.
 */
const socketTimeoutMs = 4_000
const connectTimeoutMs = 2_000
const reconnectDelayMsMax = 1_000

export interface RedisQueueOptions {
  /** `redis://`, `rediss://`, or the path of a unix socket, with or without `unix://`. */
  readonly url: string
  readonly shardIndex: number
  /** Batches that the list may hold; a test takes fewer. */
  readonly batchesMax?: number
  readonly clock: Clock
  readonly log: Log
}

/** The queue as Redis lists. The names of the keys are a contract with operators: see docs/operations.md. */
export class RedisQueue implements ProducerQueue, ConsumerQueue {
  readonly durable = true
  readonly #clock: Clock
  readonly #log: Log
  readonly #redis: Redis
  /** Hears hints on a connection of its own; null until somebody listens. */
  #subscriber: Redis | null = null
  readonly #options: RedisOptions & { replyMapping: 'legacy' }
  readonly #url: string
  readonly #keys: ReturnType<typeof redisKeys>
  readonly #batchesMax: number
  #storeId = ''
  /** How much to read at a time: less after a read that took too long, for a link may be slow. */
  #readBytes = readBytesMax
  /** Why the connection is not there; null while it is. */
  #connectionError: Error | null = null
  /** Checks the server after each connect; null until the connection is usable. */
  #checked: Promise<void> | null = null

  constructor({ url, shardIndex, clock, log, batchesMax = listBatchesMax }: RedisQueueOptions) {
    // ioredis derives a class from String.
    makeStringMethodsFast()
    this.#clock = clock
    this.#log = log
    this.#batchesMax = batchesMax
    this.#url = url.replace(/^unix:\/\//, '')
    this.#keys = redisKeys(shardIndex)
    this.#options = {
      protocol: 2,
      replyMapping: 'legacy',
      lazyConnect: true,
      connectTimeout: connectTimeoutMs,
      socketTimeout: socketTimeoutMs,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      // Its own way of subscribing again leaves a rejection to nobody, which would end the process.
      autoResubscribe: false,
      connectionName: 'piccolo',
      retryStrategy: times => Math.min(50 * times, reconnectDelayMsMax),
      // 1: reconnect, and leave the failed command failed. 2 would send it again behind our back.
      reconnectOnError: error => (error.message.startsWith('READONLY') ? 1 : false),
    }
    this.#redis = this.#connection()
    this.#redis.on('close', () => {
      this.#checked = null
    })
  }

  /**
   * Connects and checks that the server can keep what it is given. Throws OperationError; where its policy
   * says `never`, trying again without an operator is of no use.
   */
  async connect(): Promise<void> {
    await this.#usable()
  }

  async push({ producer, sequence, lowest, element }: Push): Promise<Position> {
    return readPosition(await this.#call('push', producer, sequence, lowest, element, this.#batchesMax))
  }

  async greet(producer: string, lowest: number): Promise<Position> {
    return readPosition(await this.#call('greet', producer, lowest))
  }

  async bind(storeId: string): Promise<string> {
    this.#storeId = storeId
    return String(await this.#call('bind', storeId))
  }

  async read({ skip = 0, batchesMax = readBatchesMax, bytesMax = readBytesMax }: ReadBounds = {}) {
    try {
      const bytes = Math.min(bytesMax, this.#readBytes)
      const elements = await this.#call('read', this.#storeId, batchesMax, bytes, skip)
      this.#readBytes = Math.min(readBytesMax, 2 * this.#readBytes)
      return elements as string[]
    } catch (error) {
      if (error instanceof OperationError && error.code === 'queue_timeout') {
        this.#readBytes = Math.max(readBytesMin, Math.floor(this.#readBytes / 2))
        // The late answer would only delay the next one.
        this.#redis.disconnect(true)
      }
      throw error
    }
  }

  async publish({ watermarks, parked, discarded, outcomes }: Publication): Promise<void> {
    await this.#call(
      'publish',
      this.#storeId,
      watermarks.size,
      ...[...watermarks].flat(),
      parked.length,
      ...parked.flatMap(id => [id.producer, id.sequence]),
      discarded.length,
      ...discarded,
      outcomes.length,
      ...outcomes.flatMap(({ producer, sequence, letters }) => [producer, `${sequence}:${letters}`]),
    )
  }

  async watermarks(): Promise<Map<string, number>> {
    const applied = await this.#do(redis => redis.hgetall(this.#keys.applied))
    return new Map(Object.entries(applied).map(([producer, watermark]) => [producer, Number(watermark)]))
  }

  async signsOfLife(producers: readonly string[]): Promise<Map<string, string>> {
    if (producers.length === 0) return new Map()
    const signs = await this.#do(redis => redis.hmget(this.#keys.alive, ...producers))
    return new Map(producers.map((producer, index) => [producer, signs[index] ?? '']))
  }

  async forget(silentMs: number): Promise<number> {
    return Number(await this.#call('forget', Math.ceil(silentMs / 1000)))
  }

  /** Elements from that index on, without any bound on their size: for who only looks. */
  page(start: number, count: number): Promise<string[]> {
    return this.#do(redis => redis.lrange(this.#keys.batches, start, start + count - 1))
  }

  length(): Promise<number> {
    return this.#do(redis => redis.llen(this.#keys.batches))
  }

  onPushed(listener: () => void): () => void {
    return this.#onWake('pushed', listener)
  }

  onApplied(listener: () => void): () => void {
    return this.#onWake('applied', listener)
  }

  async close(): Promise<void> {
    this.#redis.disconnect()
    this.#subscriber?.disconnect()
  }

  #connection(): Redis {
    const redis = new Redis(this.#url, this.#options)
    // Calls then fail with nothing but `Connection is closed`: what they say is taken from here. And without
    // a listener a lost connection would end the process.
    redis.on('error', error => {
      this.#connectionError = error
      this.#log.debug({ reason: errorText(error) }, 'redis connection failed')
    })
    redis.on('ready', () => {
      this.#connectionError = null
    })
    return redis
  }

  #onWake(event: string, listener: () => void): () => void {
    const subscriber = this.#subscriber ?? this.#connection()
    if (this.#subscriber === null) {
      this.#subscriber = subscriber
      const subscribe = () => void subscriber.subscribe(this.#keys.wake).catch(() => {})
      subscriber.on('ready', subscribe)
      subscriber.connect().catch(() => {})
    }
    const hear = (_channel: string, message: string) => {
      if (message === event) listener()
    }
    subscriber.on('message', hear)
    return () => subscriber.off('message', hear)
  }

  #call(command: RedisCommand, ...args: (string | number)[]): Promise<unknown> {
    return this.#do(redis => {
      const run = (redis as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[command]!
      return run.call(redis, ...Object.values(this.#keys), ...args)
    })
  }

  async #do<T>(work: (redis: Redis) => Promise<T>): Promise<T> {
    await this.#usable()
    const late = () => queueError('queue_timeout', `Redis did not answer within ${callDeadlineMs} ms`)
    return withDeadline(this.#clock, callDeadlineMs, work(this.#redis), late).catch(error => {
      throw this.#explained(error)
    })
  }

  #usable(): Promise<void> {
    if (this.#checked === null) {
      const late = () => queueError('queue_unreachable', 'Redis did not accept a connection in time')
      const checked = withDeadline(this.#clock, callDeadlineMs, this.#connectAndCheck(), late).catch(
        error => {
          if (this.#checked === checked) this.#checked = null
          throw this.#explained(error)
        },
      )
      this.#checked = checked
    }
    return this.#checked
  }

  #explained(error: unknown): Error {
    const isAboutCall = error instanceof OperationError || (error as Error).name === 'ReplyError'
    if (isAboutCall || this.#connectionError === null) return classifyRedisError(error)
    const where = redisUrlToShow(this.#url)
    return classifyRedisError(new Error(`${where}: ${errorText(this.#connectionError)}`, { cause: error }))
  }

  async #connectAndCheck(): Promise<void> {
    if (this.#redis.status === 'wait' || this.#redis.status === 'end') await this.#redis.connect()
    else if (this.#redis.status !== 'ready') await whenReady(this.#redis)
    const version = await checkRedisServer(this.#redis)
    const numberOfKeys = Object.keys(this.#keys).length
    for (const [name, lua] of Object.entries(redisCommands(version)))
      this.#redis.defineCommand(name, { numberOfKeys, lua })
  }
}
