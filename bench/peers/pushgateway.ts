import { freePort, Server } from '../processes.ts'
import { stoppedWithTotal } from './redis.ts'
import { requireProgram } from './requirements.ts'
import type { Peer } from './peer.ts'

export const pushgateway: Peer = {
  name: 'Prometheus Pushgateway',
  does: 'keeps the last value that was pushed and adds nothing up: an increment replaces the one before',
  loses: 'replaced',
  async start(place) {
    const program = requireProgram('prometheus-pushgateway', 'prometheus-pushgateway')
    const port = await freePort()
    // Its check of each push against all metrics grows with the number of keys.
    const args = [`--web.listen-address=127.0.0.1:${port}`, '--push.disable-consistency-check']
    const server = new Server({ program, args, cores: place.serverCores })
    await server.accepting(port)
    return {
      port,
      request: {
        method: 'PUT',
        path: '/metrics/job/{key}',
        body: 'increments 1\n',
        contentType: 'text/plain',
      },
      pids: [server.pid],
      ...stoppedWithTotal(
        () => sumOfIncrements(port),
        () => server.stop(),
      ),
    }
  },
}

async function sumOfIncrements(port: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const lines = text.split('\n').filter(line => line.startsWith('increments{'))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}
