import { readFileSync } from 'node:fs'
import { Agent, type ClientRequest, request } from 'node:http'
import { expect, test } from 'vitest'
import { Folder, Service } from '../kit/service.ts'
import { until } from '../kit/condition.ts'

const loopCount = 6

test('each process is restarted under load, and no request fails', async () => {
  const folder = new Folder()
  const service = await Service.start(folder, '--web-processes', '2')
  const clients = Array.from({ length: loopCount }, () => new Client(service.port, true))
  // A connection that was not yet accepted goes to another web process only where the kernel may do that.
  if (mayMigrate()) clients.push(...Array.from({ length: loopCount }, () => new Client(service.port, false)))
  const running = clients.map(client => client.run())
  const answered = () => clients.reduce((sum, client) => sum + client.answered, 0)
  try {
    for (const title of ['piccolo web 1', 'piccolo consumer', 'piccolo web 2', 'piccolo web 1']) {
      const enough = answered() + 300
      await until('there is load', () => answered() > enough)
      const before = service.children().get(title)!
      process.kill(before, 'SIGTERM')
      await until(`${title} is another one`, () => (service.children().get(title) ?? before) !== before)
      await service.says(new RegExp(`"process":"${title.slice('piccolo '.length)}","msg":"stopped"`))
    }
    for (const client of clients) client.stop()
    await Promise.all(running)
    expect(clients.flatMap(client => client.failures)).toEqual([])
    await service.hasTotals(new Map([['foo', String(answered())]]))
    expect(await service.stop()).toBe(0)
  } finally {
    for (const client of clients) client.stop()
    await service[Symbol.asyncDispose]()
    folder[Symbol.dispose]()
  }
}, 120_000)

function mayMigrate(): boolean {
  try {
    return readFileSync('/proc/sys/net/ipv4/tcp_migrate_req', 'utf8').trim() === '1'
  } catch {
    return false
  }
}

/** Sends one increment after the other, as a client does that knows HTTP. */
class Client {
  answered = 0
  readonly failures: string[] = []
  readonly #port: number
  readonly #agent: Agent
  #isStopped = false

  constructor(port: number, keepAlive: boolean) {
    this.#port = port
    this.#agent = new Agent({ keepAlive, maxSockets: 1 })
  }

  stop(): void {
    this.#isStopped = true
  }

  async run(): Promise<void> {
    while (!this.#isStopped) {
      const outcome = await this.#post()
      if (outcome === 200) this.answered++
      // The server closed an idle connection at that moment: whoever knows HTTP sends it again.
      else if (outcome !== 'closed while idle') this.failures.push(String(outcome))
    }
    this.#agent.destroy()
  }

  #post(): Promise<number | string> {
    return new Promise(resolve => {
      const headers = { 'Content-Length': 15 }
      const options = { port: this.#port, path: '/increment', method: 'POST', agent: this.#agent, headers }
      const post: ClientRequest = request(options, response => {
        response.resume()
        response.on('end', () => resolve(response.statusCode!))
        response.on('error', error => resolve(String(error)))
      })
      post.on('error', error => resolve(post.reusedSocket ? 'closed while idle' : String(error)))
      post.end('key=foo&value=1')
    })
  }
}
