import type { Contender } from './contest.ts'
import { redisBenchmark } from './loads/redis-benchmark.ts'
import { wrk } from './loads/wrk.ts'
import type { Subject } from './report/result.ts'
import { bare } from './rivals/bare.ts'
import { nodeHttp } from './rivals/node-http.ts'
import { piccolo } from './rivals/piccolo.ts'
import { redis } from './rivals/redis.ts'

export interface Benchmark {
  readonly name: string
  readonly title: string
  /** For the document: what is compared, and how to read it. */
  readonly about: string
  /** Part of `npm run bench` without names. */
  readonly isDefault: boolean
  readonly subject: Subject
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
    subject: 'cpuUs',
    contenders: [bare, piccolo, nodeHttp].map(rival => ({
      rival,
      load: wrk({ connections, keyCount, pipeline: 1 }),
    })),
  },
  {
    name: 'increments',
    title: 'Increments a second, each system by its fastest way',
    about: 'One server core. The load is what each system is fastest with.',
    isDefault: true,
    subject: 'incrementsPerSecond',
    contenders: [
      { rival: redis, load: redisBenchmark(keyCount) },
      {
        rival: piccolo,
        load: wrk({ connections, keyCount, pipeline: 16 }),
        name: 'piccolo, pipelined requests',
      },
    ],
  },
]

function besideBare(name: string, title: string, keys: number, pipeline: number): Benchmark {
  const load = wrk({ connections, keyCount: keys, pipeline })
  const about = 'The limit is a uWebSockets.js handler that reads the body, looks at nothing, and answers.'
  const contenders = [bare, piccolo].map(rival => ({ rival, load }))
  return { name, title, about, isDefault: true, subject: 'frontCpuUs', contenders }
}
