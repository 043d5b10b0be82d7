import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * CPU time of the server for one increment: `/stream` in bursts of single-increment messages, a WebSocket
 * server that only answers, and redis-server under `redis-benchmark` INCRBY with 16 pipelined, over 50
 * connections and 9,000 keys, in turns. The operating system counts the time (/proc/PID/stat, in ticks of
 * 10 ms). Servers share a core, the load has another. Then the totals have to be right.
 * Arguments: rounds, messages of a burst.
 */
const roundCount = Number(process.argv[2] ?? 5)
const burstMessages = Number(process.argv[3] ?? 64)
const connectionCount = 50
const keyCount = 9_000
const secondsATurn = 1
const redisPipelined = 16
const redisCommandsATurn = 1_000_000
const ports = { web: 28_421, redis: 28_422, bareSingle: 28_423, bareJoined: 28_424 }

interface Contender {
  readonly name: string
  readonly pid: number
  /** Loads it for a turn; how many increments were answered, and in what time. */
  readonly load: () => { increments: number; seconds: number }
  readonly microseconds: number[]
  readonly rates: number[]
}

const folder = mkdtempSync(join(tmpdir(), 'piccolo-bench-'))
const root = fileURLToPath(new URL('../..', import.meta.url))
const database = join(folder, 'numbers.db')
const isPinned = availableParallelism() > 1
const children: ChildProcess[] = []
let streamed = 0

try {
  const up = ['up', '--port', String(ports.web), '--database', database, '--web-processes', '1']
  const parent = await start(node('cli/main.ts', ...up), '"ready"')
  const redisArgs = ['--port', String(ports.redis), '--bind', '127.0.0.1', '--save', '', '--dir', folder]
  const redis = await start(['redis-server', ...redisArgs], 'eady to accept connections')
  const bareSingle = await start(
    node('bench/servers/stream-bare.ts', String(ports.bareSingle), 'single'),
    'ready',
  )
  const bareJoined = await start(
    node('bench/servers/stream-bare.ts', String(ports.bareJoined), 'joined'),
    'ready',
  )
  const web = Number(execFileSync('pgrep', ['-P', String(parent.pid), '-f', 'piccolo web 1']))
  const stream = (answers: string) => () => {
    const taken = streamLoad(ports.web, answers)
    streamed += taken.increments
    return taken
  }
  const contenders = [
    contender('/stream, an answer each', web, stream('single')),
    contender('/stream, joined answers', web, stream('joined')),
    contender('bare WebSocket, an answer each', bareSingle.pid!, () =>
      streamLoad(ports.bareSingle, 'single'),
    ),
    contender('bare WebSocket, joined answers', bareJoined.pid!, () =>
      streamLoad(ports.bareJoined, 'joined'),
    ),
    contender(`Redis INCRBY, ${redisPipelined} pipelined`, redis.pid!, redisLoad),
  ]
  // The first round warms up.
  for (let round = 0; round <= roundCount; round++)
    for (const each of contenders) {
      const before = ticksOf(each.pid)
      const { increments, seconds } = each.load()
      if (round === 0) continue
      each.microseconds.push(((ticksOf(each.pid) - before) * 10_000) / increments)
      each.rates.push(increments / seconds)
    }
  report(contenders)
  await stop(parent)
  checkTotals()
} finally {
  for (const child of children) child.kill('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
}

function contender(name: string, pid: number, load: Contender['load']): Contender {
  return { name, pid, load, microseconds: [], rates: [] }
}

function report(contenders: readonly Contender[]): void {
  console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, Node ${process.version}`)
  console.log(`${connectionCount} connections, bursts of ${burstMessages}, medians of ${roundCount} rounds`)
  const redis = contenders.at(-1)!
  for (const { name, microseconds, rates } of contenders) {
    const ratios = microseconds.map((each, round) => redis.microseconds[round]! / each)
    const figures = `${median(microseconds).toFixed(2)} µs of CPU each, ${Math.round(median(rates))} a second`
    console.log(`${name}: ${figures}, ${median(ratios).toFixed(2)} times Redis per core`)
  }
}

function checkTotals(): void {
  const total = Number(execFileSync('sqlite3', [database, 'SELECT sum(value) FROM numbers']))
  if (total !== streamed) throw new Error(`answered ${streamed}, the totals are ${total}`)
  console.log(`the totals are right: ${total} messages were answered, and counted`)
}

function streamLoad(port: number, answers: string): { increments: number; seconds: number } {
  const args = [port, secondsATurn, connectionCount, burstMessages, keyCount].map(String)
  const output = run(node('bench/probes/stream-driver.ts', ...args, answers))
  const { messages, seconds } = JSON.parse(output)
  return { increments: messages, seconds }
}

function redisLoad(): { increments: number; seconds: number } {
  const load = ['-c', String(connectionCount), '-P', String(redisPipelined), '-n', String(redisCommandsATurn)]
  const command = ['INCRBY', 'key:__rand_int__', '1']
  const args = ['-p', String(ports.redis), ...load, '-r', String(keyCount), '--csv', ...command]
  const rate = Number(
    run(['redis-benchmark', ...args])
      .trim()
      .split('\n')
      .at(-1)!
      .split('","')[1],
  )
  return { increments: redisCommandsATurn, seconds: redisCommandsATurn / rate }
}

function node(...args: readonly string[]): string[] {
  return [process.execPath, '--disable-warning=ExperimentalWarning', ...args]
}

function start(command: readonly string[], word: string): Promise<ChildProcess> {
  const [program, ...args] = onCore(0, command)
  const child = spawn(program!, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return new Promise((resolve, reject) => {
    child.stdout!.on('data', chunk => String(chunk).includes(word) && resolve(child))
    child.once('exit', code => reject(new Error(`${command[0]} ended with ${code} at its start`)))
  })
}

function run(command: readonly string[]): string {
  const [program, ...args] = onCore(1, command)
  return execFileSync(program!, args, { cwd: root, encoding: 'utf8' })
}

function onCore(core: number, command: readonly string[]): readonly string[] {
  return isPinned ? ['taskset', '-c', String(core), ...command] : command
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}

function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ')
  return Number(fields[11]) + Number(fields[12])
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)]!
}
