import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { until } from '../kit/condition.ts'
import { Folder, Program, Service } from '../kit/service.ts'

// The log is not part of the promise: whatever becomes of it, increments are counted.

vi.setConfig({ testTimeout: 120_000 })

let folder: Folder
let service: Service | null = null

beforeEach(() => {
  folder = new Folder()
})
afterEach(async () => {
  await service?.[Symbol.asyncDispose]()
  service = null
  folder[Symbol.dispose]()
})

/** A pipe whose reader reads when it is asked to. */
function openPipe() {
  const path = `${folder.path}/pipe`
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  return { path, reader, writer: openSync(path, 'w') }
}

function fill(path: string): void {
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  try {
    for (;;) writeSync(writer, '\n'.repeat(4_096))
  } catch {
    // It is full.
  } finally {
    closeSync(writer)
  }
}

function drain(reader: number): string {
  const chunk = Buffer.alloc(1024 * 1024)
  try {
    return chunk.toString('utf8', 0, readSync(reader, chunk))
  } catch {
    return ''
  }
}

const dropped = 'piccolo_log_lines_dropped_total'
const roles = ['web 1', 'web 2', 'consumer'] as const

/** Ends one process of it and kills another, about which there is a lot to say. */
async function restart(running: Service): Promise<void> {
  const pidOf = (role: string) => running.children().get(`piccolo ${role}`) ?? 0
  await until('every process has its title', () => roles.every(role => pidOf(role) > 0))
  // One that ends before it ever took up its work ends the service.
  await until('it serves', async () => (await running.metric('piccolo_listening', 'web 1')) === 1)
  const before = { web: pidOf('web 1'), consumer: pidOf('consumer') }
  process.kill(before.web, 'SIGTERM')
  process.kill(before.consumer, 'SIGKILL')
  await until(
    'both are others',
    () => ![0, before.web].includes(pidOf('web 1')) && ![0, before.consumer].includes(pidOf('consumer')),
  )
  await until('it is ready again', () => running.isReady())
}

async function countsAndStops(running: Service): Promise<void> {
  expect(await running.increment('foo', 1)).toBe(200)
  await restart(running)
  expect(await running.increment('foo', 1)).toBe(200)
  for (const role of ['up', ...roles])
    await until(`lines of ${role} were dropped`, async () => (await running.metric(dropped, role)) > 0)
  expect(await running.stop()).toBe(0)
  expect(running.output).toBe('')
  expect(folder.totals()).toEqual(new Map([['foo', '2']]))
}

test('a full disk under the log changes nothing but the log', async () => {
  service = await Service.startLoggingTo(openSync('/dev/full', 'w'), folder, '--web-processes', '2')
  await countsAndStops(service)
})

test('a log whose reader is gone changes nothing but the log', async () => {
  const { reader, writer } = openPipe()
  closeSync(reader)
  service = await Service.startLoggingTo(writer, folder, '--web-processes', '2')
  await countsAndStops(service)
})

test('a log that nobody reads holds nothing up, and goes on when somebody does', async () => {
  const { path, reader, writer } = openPipe()
  fill(path)
  service = await Service.startLoggingTo(writer, folder, '--web-processes', '2')
  drain(reader)
  fill(path)
  await restart(service)
  drain(reader)
  await restart(service)
  expect(drain(reader)).toMatch(/"process":"up".*"msg":"a process ended and is started again"/)
  fill(path)
  await countsAndStops(service)
})

test('the output of a command may be cut off or lost, without a word about it', async () => {
  service = await Service.start(folder, '--web-processes', '1')
  await service.increment('foo', 1)
  await service.hasTotals(new Map([['foo', '1']]))
  const { reader, writer } = openPipe()
  closeSync(reader)
  const outputs = [writer, openSync('/dev/full', 'w')]
  const commands = ['verify', 'total foo'].map(line => [...line.split(' '), '--database', folder.database])
  const programs = commands.flatMap(args => outputs.map(output => new Program(args, {}, output)))
  for (const program of programs) {
    expect(await program.exited).toBe(0)
    expect(program.output).toBe('')
  }
})
