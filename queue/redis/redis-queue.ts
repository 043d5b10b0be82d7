import { isUtf8 } from 'node:buffer'
import type { Redis } from 'ioredis'
import { errorText, OperationError } from '../../lib/errors.ts'
import type { Log } from '../../lib/process/log.ts'
import { headUnitsMax, type Element } from '../../batch/batch.ts'
import { queueErrors, queueError } from '../errors.ts'
import { batchBytesMax, countMax, elementBytesMax } from '../../batch/limits.ts'
import { listBatchesMax, readBatchesMax, readBytesMax, readBytesMin, windowAnnouncedMs } from '../limits.ts'
import type { ConsumerQueue, Position, ProducerQueue, Publication, Push, ReadBounds } from '../queue.ts'
import { checkRedisServer } from './check.ts'
import { RedisConnection, type RedisConnectionOptions } from './connection.ts'
import { WakeUps } from './wake-ups.ts'
import { publicationArguments, readPosition, readWatermarks } from './position.ts'
import { rightsScript } from './rights.ts'
import { type RedisCommand, redisCommands, redisKey, redisKeys } from './scripts.ts'

export interface RedisQueueOptions extends RedisConnectionOptions {
  readonly shardIndex: number
  /** Batches that the list may hold; a test takes fewer. */
  readonly batchesMax?: number
  /** Nothing but `page` and `length` is called: a user who may not write will do. */
  readonly onlyLooks?: boolean
}

/** The queue as Redis lists. The Redis keys are a contract with operators: see docs/operations.md. */
export class RedisQueue implements ProducerQueue, ConsumerQueue {
  readonly durable = true
  readonly #log: Log
  readonly #connection: RedisConnection
  readonly #wakeUps: WakeUps
  readonly #redisKeys: ReturnType<typeof redisKeys>
  readonly #windowRedisKey: string
  readonly #batchesMax: number
  readonly #onlyLooks: boolean
  #storeId = ''
  /** How much to read at a time: less after a read that took too long, for a link may be slow. */
  #readBytes = readBytesMax
  /** A push that got no answer in time; null when the queue was asked about it. */
  #pushInDoubt: Push | null = null
  /** Rights that the log has named as missing. */
  readonly #missing = new Set<string>()

  constructor({ shardIndex, batchesMax = listBatchesMax, onlyLooks = false, ...options }: RedisQueueOptions) {
    this.#log = options.log
    this.#onlyLooks = onlyLooks
    this.#batchesMax = batchesMax
    this.#redisKeys = redisKeys(shardIndex)
    this.#windowRedisKey = redisKey(shardIndex, 'idempotency-window')
    this.#connection = new RedisConnection(options, redis => this.#check(redis))
    this.#wakeUps = new WakeUps(this.#connection, this.#redisKeys.wake, () =>
      this.#lacks('SUBSCRIBE', 'it hears of batches later'),
    )
  }

  connect(): Promise<void> {
    return this.#connection.usable()
  }

  async push(push: Push): Promise<Position> {
    const {
      producer,
      sequence,
      firstUnconfirmed,
      highest = countMax,
      settled = firstUnconfirmed - 1,
      element,
    } = push
    const bounds = [this.#batchesMax, settled, highest]
    try {
      return readPosition(await this.#call('push', producer, sequence, firstUnconfirmed, element, ...bounds))
    } catch (error) {
      if (isTimeout(error)) this.#pushInDoubt = push
      throw error
    }
  }

  async heartbeat(
    producer: string,
    firstUnconfirmed: number,
    highest = countMax,
    looksIntoList = false,
  ): Promise<Position> {
    const look = looksIntoList ? 1 : 0
    const position = readPosition(await this.#call('heartbeat', producer, firstUnconfirmed, highest, look))
    const inDoubt = this.#pushInDoubt
    if (inDoubt?.producer === producer) {
      // Only its answer was missing, which more time would not have brought.
      if (position.pushed >= inDoubt.sequence) this.#connection.forgetPatience('push')
      this.#pushInDoubt = null
    }
    return position
  }

  async bind(storeId: string): Promise<string> {
    this.#storeId = storeId
    return String(await this.#call('bind', storeId))
  }

  storeId(): Promise<string | null> {
    return this.#connection.call('store id', redis => redis.get(this.#redisKeys.store))
  }

  async announceWindow(span: string): Promise<void> {
    await this.#connection.call('window', redis =>
      redis.set(this.#windowRedisKey, span, 'PX', windowAnnouncedMs),
    )
  }

  idempotencyWindow(): Promise<string | null> {
    return this.#connection.call('window', redis => redis.get(this.#windowRedisKey))
  }

  async read({
    skip = 0,
    batchesMax = readBatchesMax,
    bytesMax = readBytesMax,
  }: ReadBounds = {}): Promise<Element[]> {
    const bytes = Math.min(bytesMax, this.#readBytes)
    try {
      const elements = await this.#connection.call(
        'read',
        redis => this.#run(redis, 'readBuffer', [this.#storeId, batchesMax, bytes, skip, elementBytesMax]),
        // A single batch needs the time that it needs; with more, less at a time is better.
        { mayNeedMoreTime: bytes <= batchBytesMax },
      )
      this.#readBytes = Math.min(readBytesMax, 2 * this.#readBytes)
      return (elements as Buffer[]).map(element => (isUtf8(element) ? element.toString() : element))
    } catch (error) {
      if (isTimeout(error))
        this.#readBytes =
          bytes > batchBytesMax ? batchBytesMax : Math.max(readBytesMin, Math.floor(bytes / 2))
      throw error
    }
  }

  async publish(publication: Publication): Promise<void> {
    await this.#call('publish', this.#storeId, elementBytesMax, ...publicationArguments(publication))
  }

  async watermarks(): Promise<Map<string, number>> {
    const read = (key: string) => this.#connection.call('watermarks', redis => redis.hgetall(key))
    const published = await read(this.#redisKeys.published)
    const isKnown = Object.keys(published).length > 0 // Earlier versions left only `applied`.
    return readWatermarks(isKnown ? published : await read(this.#redisKeys.applied))
  }

  async heartbeats(producers: readonly string[]): Promise<Map<string, string>> {
    if (producers.length === 0) return new Map()
    const signs = await this.#connection.call('heartbeats', redis =>
      redis.hmget(this.#redisKeys.alive, ...producers),
    )
    return new Map(producers.map((producer, index) => [producer, signs[index] ?? '']))
  }

  async forget(silentMs: number): Promise<number> {
    return Number(await this.#call('forget', Math.ceil(silentMs / 1000)))
  }

  /** Reads the beginnings of the elements from that index on, as Latin-1, for a reader that only looks. */
  async page(start: number, count: number): Promise<string[]> {
    const elements = await this.#connection.call('page', redis =>
      redis.lrangeBuffer(this.#redisKeys.batches, start, start + count - 1),
    )
    return elements.map(element => element.toString('latin1', 0, headUnitsMax))
  }

  length(): Promise<number> {
    return this.#connection.call('length', redis => redis.llen(this.#redisKeys.batches))
  }

  onPushed(listener: () => void): () => void {
    return this.#wakeUps.on('pushed', listener)
  }

  onApplied(listener: () => void): () => void {
    return this.#wakeUps.on('applied', listener)
  }

  async close(): Promise<void> {
    this.#connection.close()
    this.#wakeUps.close()
  }

  #call(command: RedisCommand, ...args: (Element | number)[]): Promise<unknown> {
    return this.#connection.call(command, redis => this.#run(redis, command, args))
  }

  #run(
    redis: Redis,
    command: RedisCommand | `${RedisCommand}Buffer`,
    args: readonly (Element | number)[],
  ): Promise<unknown> {
    const run = (redis as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[command]!
    return run.call(redis, ...Object.values(this.#redisKeys), ...args)
  }

  async #check(redis: Redis): Promise<void> {
    // First: to a longer command without a password Redis says nothing but that it has too many words.
    const { major, isPolicyKnown } = await checkRedisServer(redis)
    const [refused] = await Promise.all([
      this.#onlyLooks ? [] : this.#refused(redis),
      // Where this is refused at the beginning of a connection, ioredis goes on in database 0.
      redis.options.db === 0 ? null : redis.select(redis.options.db!),
    ])
    if (!isPolicyKnown) this.#lacks('INFO', 'whether Redis may evict batches is not known')
    const needed = new Set(refused)
    if (needed.delete('PUBLISH') || needed.delete(this.#redisKeys.wake))
      this.#lacks('PUBLISH', 'others hear of its batches later')
    if (needed.size > 0)
      throw queueError('queue_forbidden', `the Redis user may not use ${[...needed].join(', ')}`)
    for (const [name, lua] of Object.entries(redisCommands(major)))
      redis.defineCommand(name, { numberOfKeys: Object.keys(this.#redisKeys).length, lua })
  }

  /** Returns the commands, Redis keys and channels that the scripts need and the user may not use. */
  async #refused(redis: Redis): Promise<string[]> {
    const keys = Object.values(this.#redisKeys)
    try {
      return (await redis.eval(rightsScript, keys.length, ...keys)) as string[]
    } catch (error) {
      // Redis does not say which.
      if (/one of the keys/.test(errorText(error))) return [`all of the keys ${keys.join(', ')}`]
      throw error
    }
  }

  /** Goes on without it, and says so once. */
  #lacks(right: string, consequence: string): void {
    if (this.#missing.has(right)) return
    this.#missing.add(right)
    const [code, { hint }] = ['queue_forbidden', queueErrors.queue_forbidden]
    this.#log.warn({ code, right, hint }, `the Redis user may not use ${right}: ${consequence}`)
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof OperationError && error.code === 'queue_timeout'
}
