import { execFileSync } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { Folder, Service } from '../kit/service.ts'

const connectionCount = 10_000
const connectingAtATime = 200
/** Half of a head, a head without its body, and nothing at all: what slow and silent clients send. */
const beginnings = ['', 'POST /increment HTTP/1.1\r\nHost: x\r\n', head(), `${head()}key=foo`]
const descriptorsMax = Number(
  execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).replace('unlimited', '1e9'),
)

function head(): string {
  return 'POST /increment HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n'
}

test.skipIf(descriptorsMax < connectionCount + 2_000)(
  `${connectionCount} silent and half-finished connections do not keep others from being served`,
  async () => {
    const folder = new Folder()
    const service = await Service.start(folder, '--web-processes', '1')
    const sockets: Socket[] = []
    const metric = async (name: string) => {
      const text = await (await fetch(`${service.url}/metrics`)).text()
      return Number(new RegExp(`^${name}\\{process="web 1"\\} (\\S+)$`, 'm').exec(text)![1])
    }
    try {
      while (sockets.length < connectionCount) {
        const batch = Array.from({ length: connectingAtATime }, (_, index) =>
          open(service.port, beginnings[index % beginnings.length]!),
        )
        sockets.push(...(await Promise.all(batch)))
        expect(await service.increment('bar', 1)).toBe(200)
      }
      // The first ones may have been closed for their silence by now.
      expect(await metric('piccolo_connections')).toBeGreaterThan(connectionCount / 4)
      for (const socket of sockets) socket.destroy()
      await until('they are gone', async () => (await metric('piccolo_connections')) < 10)
      expect(await service.increment('bar', 1)).toBe(200)
      const barCount = connectionCount / connectingAtATime + 1
      await service.hasTotals(new Map([['bar', String(barCount)]]))
      expect(await service.stop()).toBe(0)
    } finally {
      for (const socket of sockets) socket.destroy()
      await service[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    }
  },
  120_000,
)

function open(port: number, beginning: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => {
      socket.on('error', () => {})
      if (beginning !== '') socket.write(beginning)
      resolve(socket)
    })
    socket.once('error', reject)
  })
}
