import { afterEach, beforeEach } from 'vitest'
import { RedisServer } from './redis-server.ts'
import { Folder, Service } from './service.ts'

/** A folder for each test of a file, a service on it, and a Redis if the test wants one. All end with it. */
export class TestBed {
  #folder: Folder | null = null
  #service: Service | null = null
  #redis: RedisServer | null = null

  constructor() {
    beforeEach(() => {
      this.#folder = new Folder()
    })
    afterEach(async () => {
      await this.#service?.[Symbol.asyncDispose]()
      await this.#redis?.[Symbol.asyncDispose]()
      this.#folder?.[Symbol.dispose]()
      this.#folder = this.#service = this.#redis = null
    })
  }

  get folder(): Folder {
    return this.#folder!
  }

  /** The one that was started last; there has to be one. */
  get service(): Service {
    return this.#service!
  }

  /** `up` with these options, on the embedded queue. */
  async start(...args: string[]): Promise<Service> {
    this.#service = await Service.start(this.folder, ...args)
    return this.#service
  }

  /** The same on a Redis, which is there from the first start on. */
  async startOnRedis(...args: string[]): Promise<RedisServer> {
    this.#redis ??= await RedisServer.start()
    await this.start('--redis', this.#redis.url, ...args)
    return this.#redis
  }

  signalConsumer(signal: NodeJS.Signals): void {
    process.kill(this.service.children().get('piccolo consumer')!, signal)
  }

  metric(name: string): Promise<number> {
    return this.service.metric(name)
  }
}
