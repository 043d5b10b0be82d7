import assert from 'node:assert'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  cpuNanosecondsOf,
  onOtherCore,
  pinToMeasuredCore,
  says,
  startNode,
  startService,
  stop,
  totalsIn,
} from './service.ts'

const connectionCount = 64

/** What is sent: single increments, each request of one value 1. */
export interface Shape {
  readonly keyCount: number
  /** Requests that are sent in one go over a connection, and answered in one go. */
  readonly pipelined: number
}

export const shapes: readonly Shape[] = [
  { keyCount: 1, pipelined: 1 },
  { keyCount: 9_000, pipelined: 1 },
  { keyCount: 1, pipelined: 16 },
  { keyCount: 9_000, pipelined: 16 },
]

export interface CpuPerRequest extends Shape {
  /** Medians over the rounds. */
  readonly bareMicroseconds: number
  readonly webMicroseconds: number
  readonly ratio: number
}

interface Target {
  readonly pid: number
  readonly url: string
  requests: number
}

/**
 * Processor time of the server for one request: a web process beside a bare uWebSockets.js handler, which
 * does nothing, in turns of a second, so that both see the same machine. Then the totals have to be right.
 */
export async function measureCpuPerRequest(shape: Shape, roundCount: number): Promise<CpuPerRequest> {
  const folder = mkdtempSync(join(tmpdir(), 'piccolo-bench-'))
  const script = join(folder, 'post.lua')
  writeFileSync(script, wrkScript(shape))
  const database = join(folder, 'numbers.db')
  const [barePort, webPort] = [28_401, 28_402]
  const bare = startNode('bench/bare-server.ts', String(barePort))
  const web = await startService(webPort, database)
  try {
    await says(bare, 'ready')
    pinToMeasuredCore(bare.pid!)
    const targets = [
      { pid: bare.pid!, url: `http://127.0.0.1:${barePort}/increment`, requests: 0 },
      { pid: web.pid, url: `http://127.0.0.1:${webPort}/increment`, requests: 0 },
    ]
    // The first round warms up.
    const rounds = Array.from({ length: roundCount + 1 }, () => targets.map(each => costOf(each, script)))
    await web.stop()
    checkTotals(database, shape, targets[1]!.requests, roundCount + 1)
    const [bareCosts, webCosts] = [0, 1].map(index => rounds.slice(1).map(costs => costs[index]!))
    return {
      ...shape,
      bareMicroseconds: median(bareCosts!) / 1_000,
      webMicroseconds: median(webCosts!) / 1_000,
      ratio: median(webCosts!.map((cost, index) => cost / bareCosts![index]!)),
    }
  } finally {
    await Promise.all([stop(bare), web.stop()])
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A second of load from one thread; processor time of the server for one request, in nanoseconds. */
function costOf(target: Target, script: string): number {
  const before = cpuNanosecondsOf(target.pid)
  const [program, ...args] = onOtherCore(
    ...['wrk', '-t1', `-c${connectionCount}`, '-d1s', '-s', script, target.url],
  )
  const output = execFileSync(program!, args, { encoding: 'utf8' })
  if (/Non-2xx|Socket errors/.test(output)) throw new Error(output)
  const requests = Number(/(\d+) requests in/.exec(output)![1])
  target.requests += requests
  return (cpuNanosecondsOf(target.pid) - before) / requests
}

/** Requests are made before; each connection takes the next one. */
function wrkScript({ keyCount, pipelined }: Shape): string {
  return `
    local requests, index = {}, 0
    init = function()
      local headers = { ['Content-Type'] = 'application/x-www-form-urlencoded' }
      local key = 0
      for group = 1, ${Math.max(1, Math.ceil(keyCount / pipelined))} do
        local each = {}
        for place = 1, ${pipelined} do
          key = (key + 7919) % ${keyCount}
          each[place] = wrk.format('POST', nil, headers, 'key=counter-' .. key .. '&value=1')
        end
        requests[group] = table.concat(each)
      end
    end
    request = function()
      index = index % #requests + 1
      return requests[index]
    end
  `
}

/** wrk does not count what is under way when it stops. */
function checkTotals(database: string, shape: Shape, answered: number, roundCount: number): void {
  const totals = totalsIn(database)
  const extra = [...totals.values()].reduce((sum, each) => sum + each, 0) - answered
  assert(extra >= 0 && extra <= connectionCount * shape.pipelined * roundCount, `${extra} more than sent`)
  assert(totals.size === shape.keyCount, `${totals.size} keys`)
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1]!
}

if (process.argv[1] === import.meta.filename) {
  const [rounds, only] = process.argv.slice(2)
  console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, Node ${process.version}`)
  for (const shape of only === undefined ? shapes : [shapes[Number(only)]!]) {
    const measured = await measureCpuPerRequest(shape, Number(rounds ?? 20))
    console.log(
      `${shape.keyCount} keys, ${shape.pipelined} pipelined: ${measured.webMicroseconds.toFixed(2)} µs of CPU a ` +
        `request, bare ${measured.bareMicroseconds.toFixed(2)} µs, median ratio ${measured.ratio.toFixed(3)}; ` +
        'totals right',
    )
  }
}
