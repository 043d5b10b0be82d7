import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * CPU time of the server for one request, `key=test1&value=1` over 64 connections: a web process beside a
 * bare uWebSockets.js handler, in turns of a second so that both see the same machine. The operating system
 * counts the time (/proc/PID/stat, in ticks of 10 ms), wrk the requests. Then the total has to be right.
 */
const roundCount = Number(process.argv[2] ?? 20)
const [barePort, webPort] = [28_401, 28_402]
const body = 'key=test1&value=1'
const form = 'application/x-www-form-urlencoded'

const folder = mkdtempSync(join(tmpdir(), 'piccolo-bench-'))
const script = join(folder, 'post.lua')
writeFileSync(script, `wrk.method = 'POST'\nwrk.body = '${body}'\nwrk.headers['Content-Type'] = '${form}'\n`)
const database = join(folder, 'numbers.db')
const pinned = availableParallelism() > 1
const children: ChildProcess[] = []
try {
  const bare = start(['bench/bare-server.ts', String(barePort)])
  const up = start([
    'cli/main.ts',
    'up',
    '--port',
    String(webPort),
    '--database',
    database,
    '--web-processes',
    '1',
  ])
  await Promise.all([says(bare, 'ready'), says(up, '"ready"')])
  const servers = [
    {
      name: 'bare uWebSockets.js',
      pid: bare.pid!,
      url: `http://127.0.0.1:${barePort}/`,
      ticks: 0,
      requests: 0,
    },
    {
      name: 'piccolo web',
      pid: webPid(up.pid!),
      url: `http://127.0.0.1:${webPort}/increment`,
      ticks: 0,
      requests: 0,
    },
  ]
  const ratios: number[] = []
  for (let round = 0; round <= roundCount; round++) {
    const costs = servers.map(server => {
      const before = ticksOf(server.pid)
      const requests = load(server.url)
      const ticks = ticksOf(server.pid) - before
      // The first round warms up; its requests count for the total all the same.
      if (round > 0) server.ticks += ticks
      server.requests += requests
      return ticks / requests
    })
    if (round === 0) for (const server of servers) Object.assign(server, { warmUp: server.requests })
    else ratios.push(costs[1]! / costs[0]!)
  }
  ratios.sort((left, right) => left - right)
  console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, Node ${process.version}`)
  for (const server of servers as ((typeof servers)[number] & { warmUp: number })[]) {
    const requests = server.requests - server.warmUp
    const cost = ((server.ticks * 10_000) / requests).toFixed(2)
    console.log(
      `${server.name}: ${Math.round(requests / roundCount)} requests/s, ${cost} µs of CPU a request`,
    )
  }
  console.log(`median ratio of ${roundCount} rounds: ${ratios[Math.floor(ratios.length / 2)]!.toFixed(3)}`)
  await stop(up)
  const total = execFileSync('sqlite3', [database, `SELECT value FROM numbers WHERE key = 'test1'`], {
    encoding: 'utf8',
  })
  const sent = servers[1]!.requests
  // wrk does not count the requests that are under way when it stops, up to one a connection and round.
  const extra = Number(total) - sent
  if (extra < 0 || extra > 64 * (roundCount + 1)) throw new Error(`sent ${sent}, the total is ${total}`)
  console.log(`the total of test1 is ${total.trim()}: ${sent} answered, ${extra} under way when wrk stopped`)
} finally {
  for (const child of children) child.kill('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
}

function start(args: readonly string[]): ChildProcess {
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', ...args]
  const [program, ...rest] = pinned ? ['taskset', '-c', '0', ...command] : command
  const cwd = fileURLToPath(new URL('..', import.meta.url))
  const child = spawn(program!, rest, { cwd, stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return child
}

function says(child: ChildProcess, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout!.on('data', chunk => String(chunk).includes(word) && resolve())
    child.once('exit', code => reject(new Error(`a server ended with ${code} at its start`)))
  })
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}

function webPid(parent: number): number {
  return Number(execFileSync('pgrep', ['-P', String(parent), '-f', 'piccolo web 1'], { encoding: 'utf8' }))
}

function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ')
  return Number(fields[11]) + Number(fields[12])
}

/** A second of load from one thread; the number of requests that were answered with 200. */
function load(url: string): number {
  const wrk = ['wrk', '-t1', '-c64', '-d1s', '-s', script, url]
  const [program, ...args] = pinned ? ['taskset', '-c', '1', ...wrk] : wrk
  const output = execFileSync(program!, args, { encoding: 'utf8' })
  if (output.includes('Non-2xx')) throw new Error(output)
  return Number(/(\d+) requests in/.exec(output)![1])
}
