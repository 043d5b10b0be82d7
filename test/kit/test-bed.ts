import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { RedisServer } from './redis-server.ts'
import { Folder, Service } from './service.ts'

/**
 * A folder, and what tests start in it: services, programs, a Redis. All of it ends, the last one first, with
 * each test, or with all tests of the file or the `describe` that made the bed.
 */
export class TestBed {
  #folder: Folder | null = null
  #service: Service | null = null
  #redis: RedisServer | null = null
  readonly #used: (Disposable | AsyncDisposable)[] = []

  constructor(lifetime: 'each test' | 'all tests' = 'each test') {
    const [before, after] = lifetime === 'each test' ? [beforeEach, afterEach] : [beforeAll, afterAll]
    before(() => {
      this.#folder = this.use(new Folder())
    })
    after(async () => {
      for (const each of this.#used.splice(0).reverse())
        if (Symbol.asyncDispose in each) await each[Symbol.asyncDispose]()
        else each[Symbol.dispose]()
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

  /** Ends this with the bed; returns it. */
  use<T extends Disposable | AsyncDisposable>(each: T): T {
    this.#used.push(each)
    return each
  }

  /** Starts `up` with these options, on the embedded queue. */
  async start(...args: string[]): Promise<Service> {
    this.#service = this.use(await Service.start(this.folder, ...args))
    return this.#service
  }

  /** Starts `up` on a Redis, which is there from the first start on. */
  async startOnRedis(...args: string[]): Promise<RedisServer> {
    this.#redis ??= await this.startRedis()
    await this.start('--redis', this.#redis.url, ...args)
    return this.#redis
  }

  async startRedis(): Promise<RedisServer> {
    return this.use(await RedisServer.start())
  }

  signalConsumer(signal: NodeJS.Signals): void {
    process.kill(this.service.children().get('piccolo consumer')!, signal)
  }

  metric(name: string): Promise<number> {
    return this.service.metric(name)
  }
}
