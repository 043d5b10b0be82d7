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
