import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { post, RawConnection, requestHead } from '../kit/raw-http.ts'
import { Folder, freePort, Program, Service } from '../kit/service.ts'

// The operating system allows few file descriptors in these tests, or takes them away.

let folder: Folder
const programs: Program[] = []
const sockets: Socket[] = []

beforeEach(() => {
  folder = new Folder()
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const program of programs.splice(0)) await program[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

async function start(descriptorsMax: number, ...args: string[]): Promise<Service> {
  const service = await Service.startLimited({ descriptorsMax }, folder, '--web-processes', '1', ...args)
  programs.push(service)
  return service
}

/** Resolves to how many of so many were accepted: the system does that for those that are not taken, too. */
async function crowd(port: number, count: number): Promise<number> {
  const tries = Array.from({ length: count }, () => {
    const socket = connect({ port, host: '127.0.0.1' })
    sockets.push(socket)
    return new Promise<number>(resolve => {
      socket.on('connect', () => resolve(1))
      socket.on('error', () => resolve(0))
    })
  })
  return (await Promise.all(tries)).reduce((sum, each) => sum + each, 0)
}

function setDescriptorsMax(pid: number, max: number): void {
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${max}:`])
}

/** Seconds that a process has used of a core. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

async function cpuShare(pid: number, ms = 1_000): Promise<number> {
  const [before, startedMs] = [cpuSeconds(pid), performance.now()]
  await new Promise(resolve => setTimeout(resolve, ms))
  return ((cpuSeconds(pid) - before) * 1_000) / (performance.now() - startedMs)
}

const countOne = async (connection: RawConnection) => {
  connection.send(post('key=foo&value=1'))
  return (await connection.answer()).status
}
const readiness = async (connection: RawConnection) => {
  connection.send(requestHead({ method: 'GET', target: '/readyz' }))
  return JSON.parse((await connection.answer()).body) as { ready: boolean; reasons: string[] }
}
/** Reports whether a new connection is taken and answered. */
const isServed = async (service: Service) => {
  try {
    using connection = await RawConnection.connect(service.port)
    return (await countOne(connection)) === 200
  } catch {
    return false
  }
}

test('up says once, for all its processes, that descriptors are too few for --connections-max', async () => {
  const limits = { descriptorsMax: 1_000 }
  const service = await Service.startLimited(limits, folder, '--web-processes', '3')
  programs.push(service)
  await until('all serve', async () => (await service.metric('piccolo_listening')) === 3)
  expect(service.output.match(/too few file descriptors for --connections-max/g)).toHaveLength(1)
})

test('a crowd that takes all descriptors leaves open connections served, the core idle, and a reason; and all recovers', async () => {
  const service = await start(256)
  expect(service.output).toMatch(/"connectionsMax":50000,"served":176,"descriptorsMax":256,"needed":50080/)
  using early = await RawConnection.connect(service.port)
  expect(await countOne(early)).toBe(200)
  await crowd(service.port, 400)
  await service.says(/"code":"descriptors_full".*new connections have to wait/)
  expect(await countOne(early)).toBe(200)
  expect(await readiness(early)).toEqual({
    ready: false,
    reasons: [expect.stringMatching(/^new connections have to wait, \d+ are open: descriptors_full$/)],
  })
  expect(await cpuShare(service.children().get('piccolo web 1')!)).toBeLessThan(0.5)
  for (const socket of sockets) socket.destroy()
  await until('new connections are taken', () => isServed(service))
  await until('it is ready', async () => (await readiness(early)).ready)
  expect(await service.metric('piccolo_listening')).toBe(1)
  expect(service.output).not.toMatch(/a process ended/)
  expect(await service.stop()).toBe(0)
})

test('descriptors that are taken away while it runs are no end of a web process', async () => {
  const service = await start(4_096)
  using early = await RawConnection.connect(service.port)
  expect(await countOne(early)).toBe(200)
  const web = service.children().get('piccolo web 1')!
  setDescriptorsMax(web, 20)
  await crowd(service.port, 50)
  await service.says(/new connections have to wait/)
  expect(await cpuShare(web)).toBeLessThan(0.5)
  expect(await countOne(early)).toBe(200)
  setDescriptorsMax(web, 4_096)
  await until('new connections are taken', () => isServed(service))
  expect(service.output).not.toMatch(/a process ended/)
  expect(await service.stop()).toBe(0)
})

test('a process that the parent has no descriptor to start is started when there is one', async () => {
  const service = await start(4_096)
  setDescriptorsMax(service.pid, 20)
  process.kill(service.children().get('piccolo web 1')!, 'SIGKILL')
  await service.says(/"code":"descriptors_full".*a process cannot be started, and is tried again/)
  setDescriptorsMax(service.pid, 4_096)
  await until('the web process is back', () => isServed(service))
  expect(await service.stop()).toBe(0)
})

test('a limit too low for anything is refused with one line', async () => {
  const limits = { descriptorsMax: 100 }
  const args = ['up', '--database', folder.database, '--port', String(await freePort())]
  const program = new Program(args, {}, 'pipe', limits)
  programs.push(program)
  expect(await program.exited).toBe(78)
  expect(program.output).toMatch(
    /^piccolo up: 100 file descriptors are allowed, a web process needs 128 or more: raise ulimit -n$/m,
  )
})

test('a store that has no descriptor to open its database says so, and does not blame the path', () => {
  const script = `
    const { openSync } = await import('node:fs')
    const { tryLock } = await import(${JSON.stringify(new URL('../../store/sqlite/sqlite.ts', import.meta.url).href)})
    tryLock('./first').release()
    try { for (;;) openSync('/dev/null') } catch {}
    try { tryLock('./second') } catch (error) { console.log(error.code, error.policy.retry) }`
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module']
  const args = ['--nofile=64', ...node, '--eval', script]
  const run = spawnSync('prlimit', args, { encoding: 'utf8', cwd: folder.path })
  expect(run.stdout.trim(), run.stderr).toBe('descriptors_full later')
})
