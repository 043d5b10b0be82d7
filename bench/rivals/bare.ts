import { startProgram } from './http-program.ts'
import type { Rival } from './rival.ts'

export const bare = bareOn('127.0.0.1')

/** On every address of the machine, for more connections than one address has ports. */
export const bareEverywhere = bareOn('0.0.0.0')

function bareOn(host: string): Rival {
  return {
    name: 'bare uWebSockets.js',
    does: 'answers, and counts nothing: the limit',
    async start(place) {
      const running = await startProgram('bench/servers/bare.ts', place, host)
      return { ...running, total: async () => null }
    },
  }
}
