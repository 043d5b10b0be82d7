import { Redis, type RedisOptions } from 'ioredis'
import { assert } from '../../lib/assert.ts'
import { type Clock, withDeadline } from '../../lib/clock.ts'
import { errorText, OperationError } from '../../lib/errors.ts'
import type { Log } from '../../lib/process/log.ts'
import { makeStringMethodsFast } from '../../lib/process/string-methods.ts'
import { passingError, queueError } from '../errors.ts'
import { redisAddress, redisUrlToShow } from './address.ts'
import { whenReady } from './check.ts'
import { classifyRedisError } from './errors.ts'

/** How long one call may take; after that its fate is unknown and the caller tries again. */
const callDeadlineMs = 2_000
/** The deadline over a slow link at most: a batch of a mebibyte gets through at 32 KiB a second. */
const callDeadlineMsMax = 32_000
const connectTimeoutMs = 2_000
const reconnectDelayMsMax = 1_000
/** A server is looked at again so often: its policy, its version and our rights may change. */
const checkIntervalMs = 10_000

export interface RedisConnectionOptions {
  /** `redis://`, `rediss://`, or the path of a unix socket, with or without `unix://`. */
  readonly url: string
  readonly clock: Clock
  readonly log: Log
  /**
   * The service ran before: what is wrong with Redis may pass then. Without it the first contact refuses what
   * only an operator can change.
   */
  readonly isRestart?: boolean
}

/** A connection to Redis that is there again when it was lost, and never waits for long. */
export class RedisConnection {
  readonly #clock: Clock
  readonly #log: Log
  readonly #redis: Redis
  readonly #options: RedisOptions
  /** The address without its password, for messages. */
  readonly #address: string
  readonly #password: string
  /** Makes the server fit for calls, or rejects. */
  readonly #check: (redis: Redis) => Promise<void>
  /** Why the connection is not there; null while it is. */
  #connectionError: Error | null = null
  /** The last check of the server; null until the connection is usable. */
  #checked: { readonly done: Promise<void>; readonly sinceMs: number } | null = null
  /** Something was right with this server, or one before it. */
  #wasUsable: boolean
  /** Deadlines that the link needs, by name of the call, where they are longer than usual. */
  readonly #patienceMs = new Map<string, number>()
  #isClosed = false
  /** Ends what is under way. */
  readonly #giveUps = new Set<(error: Error) => void>()

  constructor(
    { url, clock, log, isRestart = false }: RedisConnectionOptions,
    check: (redis: Redis) => Promise<void>,
  ) {
    // ioredis derives a class from String.
    makeStringMethodsFast()
    const address = redisAddress(url)
    assert(address, 'an address that the options let through')
    this.#clock = clock
    this.#log = log
    this.#address = redisUrlToShow(url)
    this.#password = address.password ?? ''
    this.#check = check
    this.#wasUsable = isRestart
    this.#options = {
      ...address,
      protocol: 2,
      lazyConnect: true,
      connectTimeout: connectTimeoutMs,
      enableOfflineQueue: false,
      // It asks by INFO, which may be forbidden.
      enableReadyCheck: false,
      disableClientInfo: true,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      // Its own way of subscribing again leaves a rejection to nobody, which would end the process.
      autoResubscribe: false,
      connectionName: 'piccolo',
      retryStrategy: times => Math.min(50 * times, reconnectDelayMsMax),
      // 1: reconnect, and leave the failed command failed. 2 would send it again behind our back.
      reconnectOnError: error => (error.message.startsWith('READONLY') ? 1 : false),
    }
    this.#redis = this.open({})
    this.#redis.on('close', () => {
      this.#checked = null
    })
  }

  /** A connection beside this one to the same server, for the caller to close. */
  open(options: RedisOptions): Redis {
    const redis = new Redis({ ...this.#options, ...options, replyMapping: 'legacy' })
    // Calls then fail with nothing but `Connection is closed`: what they say is taken from here. And without
    // a listener a lost connection would end the process.
    redis.on('error', error => {
      this.#connectionError = error
      this.#log.debug({ reason: this.#withoutPassword(errorText(error)) }, 'redis connection failed')
    })
    redis.on('ready', () => {
      this.#connectionError = null
    })
    return redis
  }

  /**
   * Connects and checks that the server can keep what it is given. Throws OperationError; where its policy
   * says `never`, trying again without an operator is of no use. It says so at the first contact only.
   */
  async usable(): Promise<void> {
    if (this.#isClosed) throw closedByUs()
    const now = this.#clock.monotonicMs()
    if (this.#checked === null || now - this.#checked.sinceMs >= checkIntervalMs) {
      const late = () => queueError('queue_unreachable', 'Redis did not accept a connection in time')
      // On a new one there are no slow calls to wait for.
      const deadlineMs = this.#checked === null ? callDeadlineMs : this.#deadlineMs
      const checked = {
        sinceMs: now,
        done: this.#within(deadlineMs, this.#connectAndCheck(), late).then(
          () => {
            this.#wasUsable = true
          },
          error => {
            if (this.#checked === checked) this.#checked = null
            if (error instanceof OperationError && error.code === 'queue_unreachable') this.#cut()
            throw this.#explained(error)
          },
        ),
      }
      this.#checked = checked
    }
    await this.#checked.done
  }

  /**
   * Makes one call, under a name for calls of about its size. Throws OperationError. After `queue_timeout`
   * the call may still happen, so its connection is cut: a late answer would only delay the next one. Calls
   * of that name may take longer then, unless more time would not help.
   */
  async call<T>(
    name: string,
    work: (redis: Redis) => Promise<T>,
    { mayNeedMoreTime = true } = {},
  ): Promise<T> {
    await this.usable()
    const [deadlineMs, startedMs] = [this.#deadlineMs, this.#clock.monotonicMs()]
    const late = () => queueError('queue_timeout', `Redis did not answer within ${deadlineMs} ms`)
    try {
      const answer = await this.#within(deadlineMs, work(this.#redis), late)
      this.#needs(name, Math.min(deadlineMs, 2 * (this.#clock.monotonicMs() - startedMs)))
      return answer
    } catch (cause) {
      const error = this.#explained(cause)
      if (error.code === 'queue_timeout') {
        if (mayNeedMoreTime) this.#needs(name, 2 * deadlineMs)
        this.#cut()
      }
      // The check names what is missing.
      if (error.code === 'queue_forbidden') this.#checked = null
      throw error
    }
  }

  /** Calls of that name need no more time than usual after all. */
  forgetPatience(name: string): void {
    this.#patienceMs.delete(name)
  }

  /** Calls under way, and later ones, reject at once: Redis may owe their answers for long. */
  close(): void {
    this.#isClosed = true
    this.#redis.disconnect()
    for (const giveUp of this.#giveUps) giveUp(closedByUs())
  }

  async #within<T>(deadlineMs: number, work: Promise<T>, late: () => Error): Promise<T> {
    const closed = Promise.withResolvers<never>()
    this.#giveUps.add(closed.reject)
    try {
      return await withDeadline(this.#clock, deadlineMs, Promise.race([work, closed.promise]), late)
    } finally {
      this.#giveUps.delete(closed.reject)
    }
  }

  /** Calls share the connection, so each waits for the slowest. */
  get #deadlineMs(): number {
    return Math.max(callDeadlineMs, ...this.#patienceMs.values())
  }

  #needs(name: string, ms: number): void {
    if (ms <= callDeadlineMs) this.#patienceMs.delete(name)
    else this.#patienceMs.set(name, Math.min(ms, callDeadlineMsMax))
  }

  /** Cuts the connection at once, whatever is on its way; it comes again by itself. */
  #cut(): void {
    this.#checked = null
    this.#redis.stream?.destroy()
  }

  #explained(error: unknown): OperationError {
    const explained = error instanceof OperationError ? error : this.#classified(error)
    return this.#wasUsable ? passingError(explained) : explained
  }

  /** Classifies an error of Redis or the network, whose text may repeat the password. */
  #classified(error: unknown): OperationError {
    const isAboutCall = (error as Error).name === 'ReplyError' || this.#connectionError === null
    const where = `${this.#address}: ${errorText(this.#connectionError)}`
    const known = classifyRedisError(isAboutCall ? error : new Error(where))
    const text = this.#withoutPassword(known.message)
    return text === known.message ? known : new OperationError(known.code, known.policy, text)
  }

  /** Redis repeats what it was given where it does not know a command. */
  #withoutPassword(text: string): string {
    const shown = text.replace(/(with args beginning with:).*/s, '$1 ***')
    return this.#password === '' ? shown : shown.replaceAll(this.#password, '***')
  }

  async #connectAndCheck(): Promise<void> {
    const redis = this.#redis
    if (redis.status === 'wait' || redis.status === 'end') await redis.connect()
    else if (redis.status !== 'ready') await whenReady(redis)
    await this.#check(redis)
  }
}

function closedByUs(): OperationError {
  return queueError('queue_unreachable', 'the connection to Redis was closed, as this process stops')
}
