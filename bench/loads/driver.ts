import { nodeCommand, outputOf } from '../processes.ts'
import type { Load, Sample } from './load.ts'

/** One of bench/drivers, which print their sample; each in a process of its own, on the cores of the load. */
function driver(
  name: string,
  program: string,
  args: (seconds: number, port: number) => (string | number)[],
): Load {
  return {
    name,
    async run({ port }, { seconds, loadCores }) {
      const command = nodeCommand(`bench/drivers/${program}.ts`, args(seconds, port), loadCores)
      return JSON.parse(await outputOf(command)) as Sample
    },
  }
}

export function postgresUpserts(connections: number, keyCount: number): Load {
  const name = `pg, ${connections} connections, ${keyCount.toLocaleString('en-US')} keys, prepared statement`
  return driver(name, 'postgres', (seconds, port) => ['load', port, seconds, connections, keyCount])
}

export interface LineShape {
  readonly connections: number
  /** Increments in a request, or in a burst of messages. */
  readonly lines: number
  readonly keyCount: number
  /** Increments a second at most; as many as are taken, if not given. */
  readonly rate?: number
}

/** Closed loop: each connection posts its next body when it has the answer to the last one. */
export function ndjson({ connections, lines, keyCount, rate = 0 }: LineShape): Load {
  const keys = `${keyCount.toLocaleString('en-US')} keys`
  const name = `NDJSON, ${lines.toLocaleString('en-US')} lines a request, ${connections} connections, ${keys}`
  return driver(name, 'ndjson', (seconds, port) => [port, seconds, connections, lines, keyCount, rate])
}

/** The same load, on a server that has every key already. */
export function filled(load: Load, keyCount: number): Load {
  let isFilled = false
  return {
    name: `${load.name}, all there before`,
    async run(running, options) {
      if (isFilled) return load.run(running, options)
      isFilled = true
      await outputOf(nodeCommand('bench/drivers/fill.ts', [running.port, keyCount], options.loadCores))
      const sample = await load.run(running, options)
      return { ...sample, increments: sample.increments + keyCount }
    },
  }
}

/** Closed loop: each connection sends its next burst of messages when all of the last are answered. */
export function stream(
  { connections, lines, keyCount }: LineShape,
  answers: 'single' | 'joined' = 'single',
): Load {
  const keys = `${keyCount.toLocaleString('en-US')} keys`
  const joined = answers === 'joined' ? ', joined answers' : ''
  const name = `WebSocket, bursts of ${lines} messages, ${connections} connections, ${keys}${joined}`
  return driver(name, 'stream', (seconds, port) => [port, seconds, connections, lines, keyCount, answers])
}

/** Sends as fast as one process can; nothing comes back. */
export function udp(keyCount: number, perDatagram: number): Load {
  const each = perDatagram === 1 ? 'one increment a datagram' : `${perDatagram} increments a datagram`
  const name = `UDP, ${each}, ${keyCount.toLocaleString('en-US')} keys`
  return driver(name, 'udp', (seconds, port) => [port, seconds, keyCount, perDatagram])
}
