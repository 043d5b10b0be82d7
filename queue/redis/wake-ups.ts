import type { Redis } from 'ioredis'
import { errorText } from '../../lib/errors.ts'
import type { RedisConnection } from './connection.ts'
import { forbiddenPattern } from './errors.ts'

/** This connection has no calls with a deadline: it is cut when it owes an answer for so long. */
const socketTimeoutMs = 4_000

/** Hears what others publish in a channel, on a connection of its own, from when somebody listens. */
export class WakeUps {
  readonly #connection: RedisConnection
  readonly #channel: string
  readonly #onForbidden: () => void
  /** Null until somebody listens. */
  #subscriber: Redis | null = null

  /** Calls `onForbidden` each time the Redis user may not subscribe. */
  constructor(connection: RedisConnection, channel: string, onForbidden: () => void) {
    this.#connection = connection
    this.#channel = channel
    this.#onForbidden = onForbidden
  }

  /** Returns how to stop listening. */
  on(event: string, listener: () => void): () => void {
    this.#subscriber ??= this.#subscribed()
    const subscriber = this.#subscriber
    const hear = (_channel: string, message: string) => {
      if (message === event) listener()
    }
    subscriber.on('message', hear)
    return () => subscriber.off('message', hear)
  }

  close(): void {
    this.#subscriber?.disconnect()
  }

  #subscribed(): Redis {
    const subscriber = this.#connection.open({ socketTimeout: socketTimeoutMs })
    subscriber.on('ready', () => {
      subscriber.subscribe(this.#channel).catch(error => {
        if (forbiddenPattern.test(errorText(error))) this.#onForbidden()
      })
    })
    subscriber.connect().catch(() => {})
    return subscriber
  }
}
