import { until } from '../condition.ts'
import { Link } from '../link.ts'
import { RedisServer } from '../redis-server.ts'
import { differenceOf, Folder, freePort, Service } from '../service.ts'
import { Random } from '../random.ts'
import { type Book, newBook, RetryingClient } from './retrying-client.ts'

export type QueueKind = 'embedded' | 'redis' | 'redis with append-only file'

export interface ChaosOptions {
  readonly queue: QueueKind
  readonly seed: number
  readonly durationMs: number
  /** Hears of each fault as it happens. */
  readonly note: (event: string) => void
}

export interface ChaosResult {
  readonly book: Book
  readonly faultCount: number
  /** Of unkeyed increments whose answer did not come or was not 200: they may or may not count. */
  readonly uncertainCount: number
}

const clientCount = 12
const webProcessCount = 3
const settleDeadlineMs = 90_000

/**
 * Runs the whole service while its processes, and Redis, are killed, stopped and emptied at random, and
 * clients insist on every request. Rejects, with what differs, when a single total is wrong in the end, or a
 * client got an answer that it never should.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const world = await World.start(options)
  try {
    return await world.run()
  } finally {
    await world[Symbol.asyncDispose]()
  }
}

class World implements AsyncDisposable {
  readonly #options: ChaosOptions
  readonly #random: Random
  readonly #folder = new Folder()
  readonly #redis: RedisServer | null
  /** Between the service and Redis. */
  readonly #link: Link | null
  readonly #port: number
  #service: Service | null = null
  #faultCount = 0

  private constructor(options: ChaosOptions, redis: RedisServer | null, link: Link | null, port: number) {
    this.#options = options
    this.#random = new Random(options.seed)
    this.#redis = redis
    this.#link = link
    this.#port = port
  }

  static async start(options: ChaosOptions): Promise<World> {
    const isDurable = options.queue === 'redis with append-only file'
    const persistence = isDurable ? ['--appendonly', 'yes', '--appendfsync', 'everysec'] : []
    const redis = options.queue === 'embedded' ? null : await RedisServer.start(...persistence)
    const link = redis === null ? null : await Link.to(redis.socket)
    const world = new World(options, redis, link, await freePort())
    await world.#startService()
    return world
  }

  async run(): Promise<ChaosResult> {
    const book = newBook()
    const clients = Array.from({ length: clientCount }, (_, index) => {
      const random = new Random(this.#options.seed * 1_000 + index)
      return new RetryingClient(`c${index}`, `http://127.0.0.1:${this.#port}`, random, book)
    })
    const running = clients.map(client => client.run())
    const endMs = performance.now() + this.#options.durationMs
    while (performance.now() < endMs) {
      await pause(100 + this.#random.below(900))
      await this.#fault()
    }
    this.#options.note('no more faults')
    for (const client of clients) client.stop()
    await Promise.all(running)
    await this.#settle()
    return this.#judge(book)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service?.[Symbol.asyncDispose]()
    await this.#link?.[Symbol.asyncDispose]()
    await this.#redis?.[Symbol.asyncDispose]()
    this.#folder[Symbol.dispose]()
  }

  async #fault(): Promise<void> {
    const ofService: [string, () => Promise<void>][] = [
      ['kill a web process', () => this.#kill(`piccolo web ${1 + this.#random.below(webProcessCount)}`)],
      ['kill the consumer', () => this.#kill('piccolo consumer')],
      ['stop the consumer for a while', () => this.#freeze('piccolo consumer')],
      [
        'stop a web process for a while',
        () => this.#freeze(`piccolo web ${1 + this.#random.below(webProcessCount)}`),
      ],
      ['kill everything at once', () => this.#cutPower()],
      ['restart in order', () => this.#restart()],
    ]
    const ofRedis: [string, () => Promise<void>][] = [
      ['kill redis and start it again', () => this.#restartRedis()],
      ['empty redis', () => this.#emptyRedis()],
      ['stop redis for a while', () => this.#freezeRedis()],
      ['cut all connections to redis', async () => this.#link!.cut()],
      ['let nothing through to redis', () => this.#holdLink()],
    ]
    const [name, work] = this.#random.pick(this.#redis === null ? ofService : [...ofService, ...ofRedis])
    this.#options.note(name)
    this.#faultCount++
    await work()
  }

  async #kill(title: string): Promise<void> {
    const pid = this.#service!.children().get(title)
    if (pid !== undefined) signal(pid, 'SIGKILL')
  }

  async #freeze(title: string): Promise<void> {
    const pid = this.#service!.children().get(title)
    if (pid === undefined) return
    signal(pid, 'SIGSTOP')
    await pause(this.#random.below(2_500))
    signal(pid, 'SIGCONT')
  }

  async #cutPower(): Promise<void> {
    const service = this.#service!
    const children = [...service.children().values()]
    service.signal('SIGKILL')
    for (const pid of children) signal(pid, 'SIGKILL')
    await service.exited
    await this.#startService()
  }

  async #restart(): Promise<void> {
    const exitCode = await this.#service!.stop()
    if (exitCode !== 0 && this.#redis === null)
      throw new Error(`the stop ended with ${exitCode}:\n${this.#service!.output.slice(-4_000)}`)
    await this.#startService()
  }

  /** Children of a service that was killed may live for a moment and hold its database. */
  async #startService(): Promise<void> {
    const queue = this.#link === null ? [] : ['--redis', `redis://127.0.0.1:${this.#link.port}`]
    const processes = ['--web-processes', String(webProcessCount), '--producer-gone-after-ms', '5000']
    await until(
      'the service runs',
      async () => {
        try {
          this.#service = await Service.startAt(this.#folder, this.#port, ...processes, ...queue)
          return true
        } catch (error) {
          this.#options.note(`a start failed: ${String(error).slice(-300)}`)
          return false
        }
      },
      settleDeadlineMs,
    )
  }

  async #restartRedis(): Promise<void> {
    await this.#redis!.kill()
    await pause(this.#random.below(1_500))
    await this.#redis!.start()
  }

  async #emptyRedis(): Promise<void> {
    const admin = this.#redis!.client()
    try {
      await admin.flushall()
    } finally {
      admin.disconnect()
    }
  }

  async #freezeRedis(): Promise<void> {
    this.#redis!.signal('SIGSTOP')
    await pause(this.#random.below(5_000))
    this.#redis!.signal('SIGCONT')
  }

  async #holdLink(): Promise<void> {
    this.#link!.hold()
    await pause(this.#random.below(7_000))
    this.#link!.release()
  }

  /** Until nothing is under way: no batch in the queue, none parked, no hand-over file. */
  async #settle(): Promise<void> {
    await until(
      'everything is in the database',
      async () => {
        if (this.#folder.files().some(name => name.endsWith('.handover'))) return false
        if (this.#folder.sql('SELECT count(*) FROM parked') !== '0') return false
        const text = await (await fetch(`http://127.0.0.1:${this.#port}/metrics`)).text().catch(() => '')
        const waiting = [
          ...text.matchAll(/^piccolo_(?:keys_waiting|batches_unconfirmed|queue_batches)\{.*\} (\S+)$/gm),
        ]
        return waiting.length >= 2 * webProcessCount && waiting.every(([, value]) => value === '0')
      },
      settleDeadlineMs,
    )
  }

  #judge(book: Book): ChaosResult {
    const totals = this.#folder.totals()
    const expected = new Map([...book.meant].map(([key, sum]) => [key, String(sum)]))
    let uncertainCount = 0
    for (const [key, isCertain] of book.committed) {
      if (isCertain) expected.set(key, '1')
      else if (totals.get(key) === '1' || !totals.has(key)) {
        uncertainCount++
        totals.delete(key)
      }
    }
    const difference = differenceOf(expected, totals)
    if (difference !== '' || book.faults.length > 0) {
      const ledger = this.#folder.sql('SELECT * FROM producers')
      throw new Error(
        [
          `seed ${this.#options.seed}`,
          difference,
          ...book.faults.slice(0, 20),
          ledger,
          this.#service!.output.slice(-6_000),
        ].join('\n'),
      )
    }
    return { book, faultCount: this.#faultCount, uncertainCount }
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It ended by itself.
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
