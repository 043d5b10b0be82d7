import type { Candidate } from './comparison.ts'
import { filled, ndjson, postgresUpserts, stream, udp } from './loads/driver.ts'
import type { Load } from './loads/load.ts'
import { redisBenchmark } from './loads/redis-benchmark.ts'
import { vegeta } from './loads/vegeta.ts'
import { connectionsPerProcess, connectionsText, sharesOf, wrk } from './loads/wrk.ts'
import { lacksFiles } from './machine.ts'
import type { Subject } from './report/result.ts'
import { bare, bareEverywhere, bareStream, bareWithCalls } from './peers/bare.ts'
import { express } from './peers/express.ts'
import { falcon } from './peers/falcon.ts'
import { fastify } from './peers/fastify.ts'
import { gostatsd } from './peers/gostatsd.ts'
import { nodeHttp } from './peers/node-http.ts'
import { piccolo, piccoloEverywhere, piccoloStream, piccoloWith } from './peers/piccolo.ts'
import { postgres } from './peers/postgres.ts'
import { pushgateway } from './peers/pushgateway.ts'
import { redis } from './peers/redis.ts'
import { statsd } from './peers/statsd.ts'
import { webdis } from './peers/webdis.ts'

export interface Benchmark {
  readonly name: string
  readonly title: string
  /** Says in the document what is compared, and how to read it. */
  readonly about: string
  /** Part of `npm run bench` without names. */
  readonly isDefault: boolean
  readonly subject: Subject
  /** The document has a chart of it; default: a table only. */
  readonly isCharted?: boolean
  /** The first is what the others are compared with. */
  readonly candidates: readonly Candidate[]
}

const connections = 64
/** Random targets of the seed project's heavier load. */
const keyCount = 9_000

export const benchmarks: readonly Benchmark[] = [
  besideBare('cpu', 'CPU of a request beside a bare handler, 1 key', 1, 1),
  besideBare('cpu-keys', 'CPU of a request beside a bare handler, 9,000 keys', keyCount, 1),
  besideBare('cpu-pipelined', 'CPU of a request beside a bare handler, 16 pipelined, 1 key', 1, 16),
  besideBare(
    'cpu-pipelined-keys',
    'CPU of a request beside a bare handler, 16 pipelined, 9,000 keys',
    keyCount,
    16,
  ),
  {
    name: 'http',
    title: 'One increment a request: what else takes it over HTTP',
    about: 'Each request increments one of 9,000 keys by 1.',
    isDefault: true,
    isCharted: true,
    subject: 'cpuUs',
    candidates: [bare, piccolo, nodeHttp, fastify, express, falcon, webdis, pushgateway].map(peer => ({
      peer,
      load: wrk({ connections, keyCount, pipeline: 1 }),
    })),
  },
  {
    name: 'increments',
    title: 'Increments a second, each system by its fastest way',
    about: 'One core for the server. The load is what each system is fastest with, over 9,000 keys.',
    isDefault: true,
    isCharted: true,
    subject: 'incrementsPerSecond',
    candidates: [
      { peer: redis, load: redisBenchmark(keyCount) },
      {
        peer: piccoloWith([], 'piccolo, NDJSON'),
        load: ndjson({ connections: 4, lines: 1_000, keyCount }),
      },
      {
        peer: piccoloWith([], 'piccolo, pipelined'),
        load: wrk({ connections, keyCount, pipeline: 16 }),
      },
      { peer: postgres, load: postgresUpserts(16, keyCount) },
    ],
  },
  {
    name: 'batches',
    title: 'Increments in batches, end to end',
    about:
      'Bodies of 1,000 lines of NDJSON into one web process, which shares its core with consumer and parent.',
    isDefault: true,
    subject: 'incrementsPerSecond',
    candidates: [1, keyCount, 100_000].map(keys => ({
      peer: piccolo,
      load: ndjson({ connections: 4, lines: 1_000, keyCount: keys }),
      name: keys === 1 ? 'piccolo, 1 key' : `piccolo, ${keys.toLocaleString('en-US')} keys`,
    })),
  },
  {
    name: 'stream',
    title: 'Messages of one increment each, over a WebSocket',
    about:
      'Bursts of messages, beside Redis with 16 commands pipelined and a WebSocket server that looks at nothing. Joined, one answer is for ' +
      'all messages of a turn.',
    isDefault: true,
    subject: 'frontCpuUs',
    candidates: [
      { peer: redis, load: redisBenchmark(keyCount) },
      ...([64, 256] as const).flatMap(lines => [
        { peer: piccoloStream, load: burst(lines), name: `piccolo, bursts of ${lines}` },
        { peer: bareStream('single'), load: burst(lines), name: `bare WebSocket, ${lines}` },
      ]),
      { peer: piccoloStream, load: burst(64, 'joined'), name: 'piccolo, 64, joined' },
      { peer: bareStream('joined'), load: burst(64, 'joined'), name: 'bare WebSocket, 64, joined' },
    ],
  },
  {
    name: 'udp',
    title: 'Without answers: UDP, and the share that arrived',
    about: [
      "StatsD's clients send datagrams and hear nothing back. One process sends as fast as it can; rates and",
      'CPU are of what was counted, and the last column has the share that was.',
    ].join(' '),
    isDefault: true,
    subject: 'cpuUs',
    candidates: [
      { peer: piccolo, load: wrk({ connections, keyCount, pipeline: 1 }) },
      {
        peer: piccolo,
        load: ndjson({ connections, lines: 40, keyCount }),
        name: 'piccolo, 40 a request',
      },
      { peer: statsd, load: udp(keyCount, 1) },
      { peer: statsd, load: udp(keyCount, 40), name: 'StatsD, 40 a datagram' },
      { peer: gostatsd, load: udp(keyCount, 1) },
      { peer: gostatsd, load: udp(keyCount, 40), name: 'gostatsd, 40 a datagram' },
    ],
  },
  {
    name: 'latency',
    title: 'Latency at a constant rate',
    about: [
      'Requests come at a fixed rate, whether or not the last ones are answered: a server that stalls shows.',
      "The rate is that of the seed project's heavier load.",
    ].join(' '),
    isDefault: true,
    subject: 'p99',
    candidates: [bare, piccolo, nodeHttp].map(peer => ({
      peer,
      load: vegeta({ rate: 9_000, keyCount }),
    })),
  },
  {
    name: 'growth-keys',
    title: 'What an increment costs as keys grow',
    about: [
      '200,000 increments a second in requests of 100, for keys that are in the database before; where they',
      'are more than 200,000, random ones of them. With more keys fewer increments share a row, and the',
      'consumer writes more rows.',
    ].join(' '),
    isDefault: false,
    isCharted: true,
    subject: 'cpuUs',
    candidates: [1, 1_000, 100_000, 1_000_000, 10_000_000].map(keys => ({
      peer: piccolo,
      load: filled(ndjson({ connections: 4, lines: 100, keyCount: keys, rate: 200_000 }), keys),
      name: `piccolo, ${keys.toLocaleString('en-US')} keys`,
      point: { line: 'piccolo', x: keys },
    })),
  },
  {
    name: 'growth-connections',
    title: 'What a request costs as connections grow',
    about:
      'Each connection has one request under way, for the same key. Beyond 15,000 there are several web processes, and several ' +
      'of the bare server, as many systems let one have no more than 20,000 open files.',
    isDefault: false,
    isCharted: true,
    subject: 'frontCpuUs',
    candidates: [1, 10, 100, 1_000, 10_000, 50_000].flatMap(count =>
      [bareEverywhere, piccoloEverywhere].map(peerOn => {
        const peer = peerOn(sharesOf(count).length)
        return {
          peer,
          load: wrk({ connections: count, keyCount: 1, pipeline: 1 }),
          name: `${peer.name}, ${connectionsText(count)}`,
          lacks: () => lacksFiles(Math.min(count, connectionsPerProcess)),
          point: { line: peer.name, x: count },
        }
      }),
    ),
  },
]

/** Over as many connections as redis-benchmark has. */
function burst(lines: number, answers: 'single' | 'joined' = 'single'): Load {
  return stream({ connections: 50, lines, keyCount }, answers)
}

function besideBare(name: string, title: string, keys: number, pipeline: number): Benchmark {
  const load = wrk({ connections, keyCount: keys, pipeline })
  const about =
    'The limit is a uWebSockets.js handler that reads the body, looks at nothing, and answers. Beside it, the same with every call of ' +
    'uWebSockets.js that our contract asks for; what is above that is our own code.'
  const candidates = [bare, bareWithCalls, piccolo].map(peer => ({ peer, load }))
  return { name, title, about, isDefault: true, subject: 'frontCpuUs', candidates }
}
