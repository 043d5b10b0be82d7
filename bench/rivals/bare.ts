import { startProgram } from './http-program.ts'
import type { Rival } from './rival.ts'

export const bare: Rival = {
  name: 'bare uWebSockets.js',
  does: 'answers, and counts nothing: the limit',
  start: async place => ({
    ...(await startProgram('bench/servers/bare.ts', place)),
    total: async () => null,
  }),
}
