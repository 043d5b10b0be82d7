import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'

/** A real redis-server of the test's own, on a unix socket in a folder of its own. */
export class RedisServer {
  readonly folder = mkdtempSync(join(tmpdir(), 'piccolo-redis-'))
  readonly socket = join(this.folder, 'redis.sock')
  readonly #args: readonly string[]
  #process: ChildProcess | null = null

  private constructor(args: readonly string[]) {
    this.#args = args
  }

  /** `args` are redis-server's own, such as `--appendonly yes`. */
  static async start(...args: string[]): Promise<RedisServer> {
    const server = new RedisServer(args)
    await server.start()
    return server
  }

  get url(): string {
    return this.socket
  }

  get pid(): number {
    return this.#process!.pid!
  }

  async start(): Promise<void> {
    const base = ['--port', '0', '--unixsocket', this.socket, '--dir', this.folder, '--save', '']
    const child = spawn('redis-server', [...base, ...this.#args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process = child
    await new Promise<void>((resolve, reject) => {
      let output = ''
      child.stdout!.on('data', chunk => {
        output += chunk
        if (/ready to accept connections|server is now ready/i.test(output)) resolve()
      })
      child.once('error', () => reject(new Error('redis-server is not installed; npm test installs it')))
      child.once('exit', () => reject(new Error(`redis-server ended at its start:\n${output}`)))
    })
  }

  /** SIGKILL by default: what was not yet on disk is lost. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise(resolve => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal)
  }

  /** A client of the test's own, to look at or damage what the service keeps. */
  client(): Redis {
    return new Redis(this.socket, { protocol: 2, replyMapping: 'legacy', maxRetriesPerRequest: 2 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
