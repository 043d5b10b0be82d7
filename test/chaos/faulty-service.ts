import { until } from '../kit/condition.ts'
import { FaultyLink } from '../kit/faulty-link.ts'
import type { Random } from '../kit/random.ts'
import { RedisServer } from '../kit/redis-server.ts'
import { Folder, freePort, Service } from '../kit/service.ts'

export const queueKinds = ['embedded', 'redis', 'redis with append-only file'] as const
export type QueueKind = (typeof queueKinds)[number]

export interface FaultyServiceOptions {
  readonly queue: QueueKind
  readonly random: Random
  /** Hears of each fault as it happens. */
  readonly note: (event: string) => void
}

const webProcessCount = 3
const settleDeadlineMs = 90_000

/** The whole service, whose processes, and Redis, are killed, stopped and emptied at random. */
export class FaultyService implements AsyncDisposable {
  readonly folder = new Folder()
  readonly port: number
  readonly #options: FaultyServiceOptions
  readonly #random: Random
  readonly #redis: RedisServer | null
  /** The link between the service and Redis. */
  readonly #link: FaultyLink | null
  #service: Service | null = null
  #faultCount = 0
  #killCount = 0

  private constructor(
    options: FaultyServiceOptions,
    port: number,
    queue: { redis: RedisServer | null; link: FaultyLink | null },
  ) {
    this.#options = options
    this.#random = options.random
    this.#redis = queue.redis
    this.#link = queue.link
    this.port = port
  }

  static async start(options: FaultyServiceOptions): Promise<FaultyService> {
    const isDurable = options.queue === 'redis with append-only file'
    const persistence = isDurable ? ['--appendonly', 'yes', '--appendfsync', 'everysec'] : []
    const redis = options.queue === 'embedded' ? null : await RedisServer.start(...persistence)
    const link = redis === null ? null : await FaultyLink.to(redis.socket)
    const service = new FaultyService(options, await freePort(), { redis, link })
    await service.#startService()
    return service
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get faultCount(): number {
    return this.#faultCount
  }

  /** How often a web process was killed, by itself or with the whole service. */
  get killCount(): number {
    return this.#killCount
  }

  /** Output of the service that runs now. */
  get output(): string {
    return this.#service!.output
  }

  /** Process ids of the service that runs now. */
  get pids(): number[] {
    return [this.#service!.pid, ...this.#service!.children().values()]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service?.[Symbol.asyncDispose]()
    await this.#link?.[Symbol.asyncDispose]()
    await this.#redis?.[Symbol.asyncDispose]()
    this.folder[Symbol.dispose]()
  }

  /** One fault, drawn by lot. */
  async fault(): Promise<void> {
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
    if (pid === undefined) return
    if (title.includes('web')) this.#killCount++
    signal(pid, 'SIGKILL')
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
    this.#killCount++
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
          this.#service = await Service.startAt(this.folder, this.port, ...processes, ...queue)
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

  /** Waits until nothing is under way: no batch in the queue, none parked, no hand-over file. */
  async settle(): Promise<void> {
    await until(
      'everything is in the database',
      async () => {
        if (this.folder.files().some(name => name.endsWith('.handover'))) return false
        if (this.folder.sql('SELECT count(*) FROM parked') !== '0') return false
        const text = await (await fetch(`http://127.0.0.1:${this.port}/metrics`)).text().catch(() => '')
        const waiting = [
          ...text.matchAll(/^piccolo_(?:keys_waiting|batches_unconfirmed|queue_batches)\{.*\} (\S+)$/gm),
        ]
        return waiting.length >= 2 * webProcessCount && waiting.every(([, value]) => value === '0')
      },
      settleDeadlineMs,
    )
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
