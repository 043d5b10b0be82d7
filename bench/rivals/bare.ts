import { freePort, nodeCommand, Server } from '../processes.ts'
import { startProgram } from './http-program.ts'
import type { Rival } from './rival.ts'

export const bare = bareOn('127.0.0.1')

/** On every address of the machine, for more connections than one address has ports. */
export const bareEverywhere = bareOn('0.0.0.0')

/** What the contract costs, before anything is read or counted. */
export const bareWithCalls: Rival = {
  ...bareOn('127.0.0.1', 'calls'),
  name: 'bare, all our calls',
  does: 'visits headers, query and body, and answers as we do, but counts nothing',
}

/** The limit of `/stream`; it answers each message, or all of a turn at once. */
export function bareStream(answers: 'single' | 'joined'): Rival {
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

function bareOn(host: string, ...kind: readonly string[]): Rival {
  return {
    name: 'bare uWebSockets.js',
    does: 'answers, and counts nothing: the limit',
    async start(place) {
      const running = await startProgram('bench/servers/bare.ts', place, host, ...kind)
      return { ...running, total: async () => null }
    },
  }
}
