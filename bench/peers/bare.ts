import { freePort, listenersAt, nodeCommand, Server } from '../processes.ts'
import { startProgram } from './http-program.ts'
import type { Peer } from './peer.ts'

const bareProgram = 'bench/servers/bare.ts'

export const bare = bareOn('127.0.0.1')

/** Listens on every address, in so many processes on one port, for a great many connections. */
export function bareEverywhere(processes: number): Peer {
  return {
    ...bare,
    async start(place) {
      const first = await startProgram(bareProgram, place, '0.0.0.0')
      const args = [first.port, '', '0.0.0.0']
      const others: Server[] = []
      const stop = async () => {
        await Promise.all([first, ...others].map(server => server.stop()))
      }
      try {
        while (others.length < processes - 1) {
          const other = new Server(nodeCommand(bareProgram, args, place.serverCores))
          others.push(other)
          await other.ready(async () => listenersAt(first.port) === 1 + others.length)
        }
      } catch (error) {
        await stop()
        throw error
      }
      return {
        ...first,
        pids: [...first.pids, ...others.map(({ pid }) => pid)],
        stop,
        total: async () => null,
      }
    },
  }
}

/** Measures the cost of the contract before anything is read or counted. */
export const bareWithCalls: Peer = {
  ...bareOn('127.0.0.1', 'calls'),
  name: 'bare, all our calls',
  does: 'visits headers, query and body, and answers as we do, but counts nothing',
}

/** The limit of `/stream`; it answers each message, or all of a turn at once. */
export function bareStream(answers: 'single' | 'joined'): Peer {
  return {
    name: 'bare WebSocket',
    does: 'answers, and looks at nothing: the limit of uWebSockets.js',
    async start({ serverCores }) {
      const port = await freePort()
      const server = new Server(nodeCommand('bench/servers/stream-bare.ts', [port, answers], serverCores))
      await server.accepting(port)
      return { port, pids: [server.pid], stop: () => server.stop(), total: async () => null }
    },
  }
}

function bareOn(host: string, ...kind: readonly string[]): Peer {
  return {
    name: 'bare uWebSockets.js',
    does: 'answers, and counts nothing: the limit',
    async start(place) {
      const running = await startProgram(bareProgram, place, host, ...kind)
      return { ...running, total: async () => null }
    },
  }
}
