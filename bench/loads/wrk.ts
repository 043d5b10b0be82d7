import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { outputOf } from '../processes.ts'
import type { HttpIncrement } from '../peers/peer.ts'
import type { Load, Sample } from './load.ts'

type WrkSample = Omit<Sample, 'underWayMax'>

/**
 * Connections of one wrk or one server; more are divided among several. An address of the loopback interface
 * has some 28,000 client ports, and a process often no more than 20,000 open files.
 */
export const connectionsPerProcess = 15_000

export interface WrkShape {
  readonly connections: number
  /** Distinct keys, taken in a fixed random order. */
  readonly keyCount: number
  /** Requests that each connection has under way. */
  readonly pipeline: number
}

/** Closed loop: each connection sends its next requests when it has the answers to the last ones. */
export function wrk(shape: WrkShape): Load {
  const { connections, keyCount, pipeline } = shape
  const keys = keyCount === 1 ? '1 key' : `${keyCount.toLocaleString('en-US')} keys`
  const pipelined = pipeline === 1 ? '' : `, ${pipeline} pipelined`
  return {
    name: `wrk, ${connectionsText(connections)}, ${keys}${pipelined}`,
    needs: ['wrk', 'wrk'],
    async run(running, { seconds, folder, loadCores }) {
      if (running.request === undefined) throw new Error('wrk speaks HTTP only')
      const script = join(folder, `wrk-${running.port}.lua`)
      writeFileSync(script, wrkScript(running.request, shape))
      const shares = sharesOf(connections)
      const outputs = shares.map((share, index) => {
        const url = `http://127.0.0.${index + 1}:${running.port}`
        const args = ['-t1', `-c${share}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, url]
        return outputOf({ program: 'wrk', args, cores: loadCores })
      })
      const samples = (await Promise.all(outputs)).map(parseWrk)
      const sample = { ...together(samples), underWayMax: connections * pipeline }
      // wrk corrects latencies by the interval between requests, and with several under way gets that wrong.
      return pipeline === 1 ? sample : { ...sample, latencyMs: null }
    },
  }
}

export function connectionsText(count: number): string {
  return count === 1 ? '1 connection' : `${count.toLocaleString('en-US')} connections`
}

/** Every request is made before the load begins, so that wrk only has to send it. */
export function wrkScript(request: HttpIncrement, { keyCount, pipeline }: WrkShape): string {
  return `local requests, turn = {}, 0
function init()
  math.randomseed(1)
  local keys = {}
  for index = 1, ${keyCount} do keys[index] = string.format('test%d', index) end
  for index = #keys, 2, -1 do
    local other = math.random(index)
    keys[index], keys[other] = keys[other], keys[index]
  end
  local headers = { ['Content-Type'] = ${luaText(request.contentType)} }
  for index, key in ipairs(keys) do
    local path = string.gsub(${luaText(request.path)}, '{key}', key)
    local body = string.gsub(${luaText(request.body)}, '{key}', key)
    if body == '' then body = nil end
    requests[index] = wrk.format(${luaText(request.method)}, path, headers, body)
  end
  local pipelined = {}
  for index = 1, #requests do
    local several = {}
    for ahead = 0, ${pipeline - 1} do several[ahead + 1] = requests[(index + ahead - 1) % #requests + 1] end
    pipelined[index] = table.concat(several)
  end
  requests = pipelined
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    'SAMPLE {"requests":%d,"us":%d,"status":%d,"socket":%d,"p50Us":%d,"p99Us":%d,"p999Us":%d}\\n',
    summary.requests, summary.duration, failed.status,
    failed.connect + failed.read + failed.write + failed.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
`
}

/** Divides connections among several wrk, each with an address of the loopback interface to itself. */
export function sharesOf(connections: number): number[] {
  const count = Math.ceil(connections / connectionsPerProcess)
  return Array.from({ length: count }, (_, index) => Math.floor((connections + index) / count))
}

/** Joins the samples of several that ran at the same time; the latency is that of the slower one. */
function together(samples: readonly WrkSample[]): WrkSample {
  return samples.reduce((one, other) => ({
    increments: one.increments + other.increments,
    seconds: Math.max(one.seconds, other.seconds),
    failures: one.failures + other.failures,
    latencyMs: one.latencyMs!.p99 >= other.latencyMs!.p99 ? one.latencyMs : other.latencyMs,
  }))
}

/** Reads the last line of the script above. Answers with other statuses than 2xx and 3xx are failures. */
export function parseWrk(output: string): WrkSample {
  const line = /^SAMPLE (\{.*\})$/m.exec(output)?.[1]
  if (line === undefined) throw new Error(`wrk did not say what it did:\n${output}`)
  const { requests, us, status, socket, p50Us, p99Us, p999Us } = JSON.parse(line) as Record<string, number>
  return {
    increments: requests! - status!,
    seconds: us! / 1e6,
    failures: status! + socket!,
    latencyMs: { p50: p50Us! / 1_000, p99: p99Us! / 1_000, p999: p999Us! / 1_000 },
  }
}

function luaText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`
}
