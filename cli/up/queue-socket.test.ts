import { spawnSync } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { encodeBatch } from '../../batch/writer.ts'
import { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import { batch, producerId } from '../../test/kit/builders.ts'
import { until } from '../../test/kit/condition.ts'
import { Folder } from '../../test/kit/service.ts'
import { isMarkSet, setPortMark } from './port-mark.ts'
import { openQueueSocket } from './queue-socket.ts'
import { queuedInService, tellQueued } from './queued-batches.ts'

const log = pino({ level: 'silent' })
let folder: Folder
let cleanUps: (() => unknown)[]
beforeEach(() => {
  folder = new Folder()
  cleanUps = []
})
afterEach(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp()
  folder[Symbol.dispose]()
})

const place = () => ({ database: folder.database, stateDir: null })
const environment = () => ({ XDG_RUNTIME_DIR: join(folder.path, 'run') })
const sockets = () => folder.files().filter(name => name.endsWith('.sock'))
const queued = [{ producer: producerId(1), sequence: 1, increments: 7 }]
async function queue(): Promise<EmbeddedQueue> {
  const embedded = new EmbeddedQueue(systemClock)
  const element = encodeBatch(batch({ sequence: 1, increments: 7 }))
  await embedded.push({ producer: producerId(1), sequence: 1, firstUnconfirmed: 1, element })
  return embedded
}
async function tell(at = place()): Promise<void> {
  const socket = await tellQueued(await queue(), at, environment(), log)
  cleanUps.push(() => socket.release())
}
/** Somebody else's program behind the socket. */
async function pose(onConnection: (socket: Socket) => void): Promise<void> {
  await tell()
  const path = join(folder.path, sockets()[0]!)
  rmSync(path)
  const server = createServer(socket => {
    socket.on('error', () => {})
    onConnection(socket)
  }).listen(path)
  cleanUps.push(() => server.close())
  await until('it listens', () => server.listening)
}
const ask = () => queuedInService(place(), environment())

test('the queue is shown in the state directory, to the user and the group alone', async () => {
  await tell()
  expect(lstatSync(join(folder.path, sockets()[0]!)).mode & 0o777).toBe(0o660)
  expect(await ask()).toEqual(queued)
})

test('where the path is too long it is told in the folder for sockets of this user', async () => {
  const long = join(folder.path, 'x'.repeat(100))
  mkdirSync(long)
  const at = { database: join(long, 'numbers.db'), stateDir: null }
  await tell(at)
  expect(readdirSync(long)).toEqual([])
  expect(readdirSync(join(folder.path, 'run', 'piccolo-daimao'))).toHaveLength(1)
  expect(await queuedInService(at, environment())).toEqual(queued)
  // Others may write there: what is there may be theirs.
  chmodSync(join(folder.path, 'run', 'piccolo-daimao'), 0o777)
  expect(await queuedInService(at, environment())).toBeNull()
})

test('the socket of a process that was killed is replaced, one of a process that lives is not', async () => {
  await tell()
  const [name] = sockets()
  const path = join(folder.path, name!)
  await cleanUps.pop()!()
  await until('it is gone', () => sockets().length === 0)
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`

  spawnSync(process.execPath, ['-e', script])
  expect(sockets()).toEqual([name])
  await tell()
  expect(await ask()).toEqual(queued)
  expect(await openQueueSocket(place(), environment(), () => 'other')).toBe('taken')
  expect(await ask()).toEqual(queued)
})

test('a file that is no socket stays, and the queue is shown elsewhere', async () => {
  await tell()
  const path = join(folder.path, sockets()[0]!)
  await cleanUps.pop()!()
  await until('it is gone', () => sockets().length === 0)
  writeFileSync(path, 'mine')
  await tell()
  expect(lstatSync(path).isFile()).toBe(true)
  expect(await ask()).toEqual(queued)
})

test('clients that never read, and too many of them, are cut', async () => {
  await tell()
  const path = join(folder.path, sockets()[0]!)
  let closed = 0
  const clients = Array.from({ length: 40 }, () =>
    connect(path)
      .on('error', () => {})
      .on('close', () => closed++),
  )
  for (const client of clients) client.pause()
  cleanUps.push(() => {
    for (const client of clients) client.destroy()
  })
  await until('others are answered again', async () => {
    const answer = await ask().catch(() => null)
    return answer !== null && answer.length === 1
  })
})

test.each([
  ['escapes for the terminal', '[{"producer":"\\u001b[31mred","sequence":1,"increments":1}]'],
  ['a sequence that is no number', '[{"producer":"00000001","sequence":"1","increments":1}]'],
  ['no list', '{"producer":"00000001","sequence":1,"increments":1}'],
  ['no JSON', '\u001b[31m'],
  ['nothing', ''],
])('an answer with %s is refused', async (_, answer) => {
  await pose(socket => socket.end(answer))
  const error = await ask().catch(caught => caught)
  expect(error.name).toBe('UsageError')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
  expect(error.message).not.toMatch(/[\u0000-\u001f]/)
})

test('an answer without an end is refused before it fills the memory', async () => {
  let written = 0
  await pose(socket => {
    const piece = Buffer.alloc(64 * 1024, '1')
    const write = () => {
      while (!socket.destroyed && socket.write(piece)) written += piece.length
    }
    socket.on('drain', write)
    write()
  })
  await expect(ask()).rejects.toThrow('more of its queue than there can be')
  expect(written).toBeLessThan(20 * 1024 * 1024)
})

test('a mark holds nothing: whoever connects to it is let go at once', async () => {
  const name = `test/${process.pid}`
  const mark = await setPortMark(name)
  if (mark === null || mark === 'taken') throw new Error('no mark')
  cleanUps.push(() => mark.release())
  let closed = 0
  const clients = Array.from({ length: 200 }, () =>
    connect({ path: `\0piccolo-daimao/${name}` })
      .on('error', () => {})
      .on('close', () => closed++),
  )
  for (const client of clients) client.resume()
  await until('all are closed', () => closed === clients.length)
  expect(await isMarkSet(name)).toBe(true)
  expect(await setPortMark(name)).toBe('taken')
})
