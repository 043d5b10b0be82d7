import type { Contender } from './contest.ts'
import { filled, ndjson, postgresUpserts, stream, udp } from './loads/driver.ts'
import type { Load } from './loads/load.ts'
import { redisBenchmark } from './loads/redis-benchmark.ts'
import { vegeta } from './loads/vegeta.ts'
import { connectionsPerProcess, connectionsText, sharesOf, wrk } from './loads/wrk.ts'
import { lacksFiles } from './machine.ts'
import type { Subject } from './report/result.ts'
import { bare, bareEverywhere, bareStream, bareWithCalls } from './rivals/bare.ts'
import { express } from './rivals/express.ts'
import { falcon } from './rivals/falcon.ts'
import { fastify } from './rivals/fastify.ts'
import { gostatsd } from './rivals/gostatsd.ts'
import { nodeHttp } from './rivals/node-http.ts'
import { piccolo, piccoloEverywhere, piccoloStream, piccoloWith } from './rivals/piccolo.ts'
import { postgres } from './rivals/postgres.ts'
import { pushgateway } from './rivals/pushgateway.ts'
import { redis } from './rivals/redis.ts'
import { statsd } from './rivals/statsd.ts'
import { webdis } from './rivals/webdis.ts'

export interface Benchmark {
  readonly name: string
  readonly title: string
  /** For the document: what is compared, and how to read it. */
  readonly about: string
  /** Part of `npm run bench` without names. */
  readonly isDefault: boolean
  readonly subject: Subject
  /** The document has a chart of it; default: a table only. */
  readonly isCharted?: boolean
  /** The first is what the others are compared with. */
  readonly contenders: readonly Contender[]
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
    contenders: [bare, piccolo, nodeHttp, fastify, express, falcon, webdis, pushgateway].map(rival => ({
      rival,
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
    contenders: [
      { rival: redis, load: redisBenchmark(keyCount) },
      {
        rival: piccoloWith([], 'piccolo, NDJSON'),
        load: ndjson({ connections: 4, lines: 1_000, keyCount }),
      },
      {
        rival: piccoloWith([], 'piccolo, pipelined'),
        load: wrk({ connections, keyCount, pipeline: 16 }),
      },
      { rival: postgres, load: postgresUpserts(16, keyCount) },
    ],
  },
  {
    name: 'batches',
    title: 'Increments in batches, end to end',
    about:
      'Bodies of 1,000 lines of NDJSON into one web process, which shares its core with consumer and parent.',
    isDefault: true,
    subject: 'incrementsPerSecond',
    contenders: [1, keyCount, 100_000].map(keys => ({
      rival: piccolo,
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
    contenders: [
      { rival: redis, load: redisBenchmark(keyCount) },
      ...([64, 256] as const).flatMap(lines => [
        { rival: piccoloStream, load: burst(lines), name: `piccolo, bursts of ${lines}` },
        { rival: bareStream('single'), load: burst(lines), name: `bare WebSocket, ${lines}` },
      ]),
      { rival: piccoloStream, load: burst(64, 'joined'), name: 'piccolo, 64, joined' },
      { rival: bareStream('joined'), load: burst(64, 'joined'), name: 'bare WebSocket, 64, joined' },
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
    contenders: [
      { rival: piccolo, load: wrk({ connections, keyCount, pipeline: 1 }) },
      {
        rival: piccolo,
        load: ndjson({ connections, lines: 40, keyCount }),
        name: 'piccolo, 40 a request',
      },
      { rival: statsd, load: udp(keyCount, 1) },
      { rival: statsd, load: udp(keyCount, 40), name: 'StatsD, 40 a datagram' },
      { rival: gostatsd, load: udp(keyCount, 1) },
      { rival: gostatsd, load: udp(keyCount, 40), name: 'gostatsd, 40 a datagram' },
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
    contenders: [bare, piccolo, nodeHttp].map(rival => ({
      rival,
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
    contenders: [1, 1_000, 100_000, 1_000_000, 10_000_000].map(keys => ({
      rival: piccolo,
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
    contenders: [1, 10, 100, 1_000, 10_000, 50_000].flatMap(count =>
      [bareEverywhere, piccoloEverywhere].map(rivalOn => {
        const rival = rivalOn(sharesOf(count).length)
        return {
          rival,
          load: wrk({ connections: count, keyCount: 1, pipeline: 1 }),
          name: `${rival.name}, ${connectionsText(count)}`,
          lacks: () => lacksFiles(Math.min(count, connectionsPerProcess)),
          point: { line: rival.name, x: count },
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
  const contenders = [bare, bareWithCalls, piccolo].map(rival => ({ rival, load }))
  return { name, title, about, isDefault: true, subject: 'frontCpuUs', contenders }
}
