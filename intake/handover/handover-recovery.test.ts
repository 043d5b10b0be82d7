import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { encodeBatch } from '../../batch/writer.ts'
import { Binding } from '../../queue/store-binding.ts'
import { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import type { Disk } from './disk.ts'
import { batch, producerId } from '../../test/kit/builders.ts'
import { Folder } from '../../test/kit/service.ts'
import { promptDisk } from '../../test/simulation/prompt-disk.ts'
import { Life, SimulatedTime } from '../../test/simulation/time.ts'
import { HandoverRecovery } from './handover-recovery.ts'

let folder: Folder
let lines: { level: string; code?: string; path?: string; msg: string }[]
let time: SimulatedTime
let queue: EmbeddedQueue
let recovery: HandoverRecovery

beforeEach(() => {
  folder = new Folder()
  lines = []
  time = new SimulatedTime()
  queue = new EmbeddedQueue(time.clockOf(new Life()))
})
afterEach(async () => {
  await stop()
  folder[Symbol.dispose]()
})

const element = (producer: number, sequence: number) => encodeBatch(batch({ producer, sequence }))
const elements = [7, 8, 9].map(sequence => element(1, sequence))
const log = pino({ level: 'info' }, { write: line => lines.push(JSON.parse(line)) })
const handovers = () => folder.files().filter(name => name.includes('.handover'))
const errors = () => lines.filter(({ level }) => Number(level) >= 50)

function start(disk: Partial<Disk> = {}): void {
  const place = { database: folder.database, stateDir: null }
  const clock = time.clockOf(new Life())
  const binding = new Binding(queue)
  recovery = new HandoverRecovery({ place, queue, binding, clock, log, disk: { ...promptDisk, ...disk } })
  recovery.start()
}
async function stop(): Promise<void> {
  const stopped = recovery.stop()
  await time.pass(1_000)
  await stopped
}
/** The store has everything of these producers up to there. */
const commit = (watermarks: Record<string, number>) =>
  queue.publish({
    watermarks: new Map(Object.entries(watermarks)),
    parked: [],
    outcomes: [],
    discarded: [],
  })
async function commitAllFor(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    await time.pass(100)
    for (const read of await queue.read()) {
      const [producer, sequence] = read.split(' ')
      await commit({ [producer!]: Number(sequence) })
    }
  }
}

test('a file is removed when the store has its batches, not when the queue has', async () => {
  folder.handOver(1, elements)
  start()
  await time.pass(5_000)
  expect(await queue.read()).toEqual(elements)
  expect(handovers()).toHaveLength(1)
  expect(recovery.oldestAgeMs()).toBeGreaterThan(4_000)
  await commit({ [producerId(1)]: 9 })
  await time.pass(2_000)
  expect(handovers()).toEqual([])
  await time.pass(1_000)
  expect(recovery.oldestAgeMs()).toBe(0)
})

test('a recovery that ends on the way leaves the file for the next one', async () => {
  folder.handOver(1, elements)
  start()
  await time.pass(5_000)
  await stop()
  expect(handovers()).toHaveLength(1)
  start()
  await commitAllFor(5_000)
  expect(handovers()).toEqual([])
})

test('a file that is copied slowly is delivered when it is whole, and said once before', async () => {
  const source = folder.handOver(1, elements)
  const bytes = readFileSync(source)
  renameSync(source, join(folder.path, 'source'))
  start()
  for (let at = 0; at < bytes.length; at += 50) {
    appendFileSync(source, bytes.subarray(at, at + 50))
    await commitAllFor(1_500)
    if (at + 50 < bytes.length) expect(handovers()).toHaveLength(1)
    if (at + 50 < bytes.length) expect(await queue.watermarks()).toEqual(new Map())
  }
  await commitAllFor(3_000)
  expect(await queue.watermarks()).toEqual(new Map([[producerId(1), 9]]))
  expect(handovers()).toEqual([])
  expect(errors().map(({ code }) => code)).toEqual(['handover_incomplete'])
})

test('a file that stays cut off stays, costs no promise, and is named', async () => {
  const path = folder.handOver(1, elements)
  truncateSync(path, 200)
  start()
  await commitAllFor(60_000)
  expect(handovers()).toHaveLength(1)
  expect(await queue.length()).toBe(0)
  expect(errors()).toMatchObject([{ code: 'handover_incomplete', path }])
  expect(recovery.oldestAgeMs()).toBe(0)
  expect(recovery.notes()).toEqual([
    `numbers.db-${producerId(1)}.handover is not delivered: handover_incomplete`,
  ])
  expect(recovery.leftCount).toBe(1)
})

test('a file with the name of another database is not touched, and is named while nobody takes it', async () => {
  const strange = join(folder.path, `other.db-${producerId(1)}.handover`)
  renameSync(folder.handOver(1, elements), strange)
  start()
  await commitAllFor(5_000)
  expect([lines, recovery.notes()]).toEqual([[], []])
  await commitAllFor(30_000)
  expect(lines).toMatchObject([{ level: 40, code: 'handover_foreign', path: strange }])
  expect(recovery.notes()).toEqual([`other.db-${producerId(1)}.handover is not delivered: handover_foreign`])
  expect([handovers().length, recovery.leftCount, recovery.oldestAgeMs()]).toEqual([1, 0, 0])
  for (let index = 0; index < 20; index++) copyFileSync(strange, join(folder.path, `a${index}.db-1.handover`))
  await time.pass(20_000)
  expect([recovery.notes().length, recovery.notes().at(-1), lines.length]).toEqual([
    11,
    '11 more files of other databases are not delivered',
    10,
  ])
  for (const name of handovers()) rmSync(join(folder.path, name))
  await time.pass(2_000)
  expect(recovery.notes()).toEqual([])
})

test('a file that is delivered twice does no harm', async () => {
  const path = folder.handOver(1, elements)
  copyFileSync(path, join(folder.path, 'copy'))
  start()
  await commitAllFor(5_000)
  expect(handovers()).toEqual([])
  copyFileSync(join(folder.path, 'copy'), path)
  await commitAllFor(5_000)
  expect(handovers()).toEqual([])
  expect(errors()).toEqual([])
})

test('a file that is replaced while it is delivered is not removed in place of the other', async () => {
  folder.handOver(1, elements)
  start()
  await time.pass(2_000)
  const more = folder.handOver(1, [...elements, element(1, 10)])
  renameSync(more, more.replace('.2.handover', '.handover'))
  await commit({ [producerId(1)]: 9 })
  await time.pass(500)
  expect(handovers()).toHaveLength(1)
  await commitAllFor(5_000)
  expect(await queue.watermarks()).toEqual(new Map([[producerId(1), 10]]))
  expect(handovers()).toEqual([])
})

test('the first form is delivered once it has not changed for a while', async () => {
  const path = join(folder.path, `numbers.db-${producerId(1)}.handover`)
  start()
  for (const each of elements) {
    appendFileSync(path, `${each}\n`)
    await commitAllFor(3_000)
    expect(handovers()).toHaveLength(1)
    expect(await queue.watermarks()).toEqual(new Map())
  }
  await commitAllFor(6_000)
  expect(await queue.watermarks()).toEqual(new Map([[producerId(1), 9]]))
  expect(handovers()).toEqual([])
})

test.each(['first form', 'unbound queue'])(
  'a file that was incomplete and has to wait when it is whole is delivered: %s',
  async why => {
    const path = folder.handOver(1, elements, 'theirs')
    const whole = why === 'first form' ? `${elements.join('\n')}\n` : readFileSync(path)
    writeFileSync(path, '')
    start()
    await time.pass(2_500)
    expect(errors()).toMatchObject([{ code: 'handover_incomplete' }])
    writeFileSync(path, whole)
    await commitAllFor(15_000)
    expect(await queue.watermarks()).toEqual(new Map([[producerId(1), 9]]))
    expect(handovers()).toEqual([])
  },
)

test('a file of another store is named once and not touched, until the queue is of that store', async () => {
  folder.handOver(1, elements, 'theirs')
  await queue.bind('ours')
  start()
  await commitAllFor(60_000)
  expect(handovers()).toHaveLength(1)
  expect(errors()).toMatchObject([{ code: 'handover_foreign' }])
  await stop()
  queue = new EmbeddedQueue(time.clockOf(new Life()))
  await queue.bind('theirs')
  start()
  await commitAllFor(5_000)
  expect(handovers()).toEqual([])
})

test('a file that names its store waits for the queue to be bound, but not for ever', async () => {
  folder.handOver(1, elements, 'theirs')
  start()
  await time.pass(8_000)
  expect(await queue.length()).toBe(0)
  await commitAllFor(5_000)
  expect(handovers()).toEqual([])
})

test('a file that is named after another producer stays, and the log says what to do', async () => {
  const path = folder.handOver(1, elements)
  renameSync(path, path.replace(producerId(1), producerId(2)))
  start()
  await commitAllFor(20_000)
  expect(handovers()).toHaveLength(1)
  expect(errors()).toMatchObject([
    { code: 'handover_misnamed', hint: expect.stringContaining('piccolo recover') },
  ])
})

test('folders, links, pipes, sockets, empty and huge files of that name harm nobody', async () => {
  const path = (name: string) => join(folder.path, `numbers.db-${name}.handover`)
  mkdirSync(path('folder'))
  execFileSync('mkfifo', [path('fifo')])
  symlinkSync('/etc/passwd', path('link'))
  symlinkSync('/nowhere', path('nowhere'))
  writeFileSync(path('empty'), '')
  writeFileSync(path('huge'), '')
  truncateSync(path('huge'), 10 * 1024 ** 3)
  const server = createServer().listen(path('socket'))
  await new Promise(resolve => server.once('listening', resolve))
  start({ open: (await import('./disk.ts')).systemDisk.open })
  folder.handOver(1, elements)
  while (handovers().includes(`numbers.db-${producerId(1)}.handover`)) await commitAllFor(1_000)
  while (recovery.leftCount < 7) await time.pass(1_000)
  expect(handovers()).toHaveLength(7)
  expect(errors()).toHaveLength(7)
  await commitAllFor(60_000)
  expect(errors()).toHaveLength(7)
  server.close()
})

test.each(['EMFILE', 'EACCES', 'EIO'])(
  'a folder that cannot be listed (%s) is a classified error, until it can',
  async code => {
    folder.handOver(1, elements)
    const fault = Object.assign(new Error(`${code}: no`), { code })
    let isFailing = true
    start({ list: async (...args) => (isFailing ? Promise.reject(fault) : promptDisk.list(...args)) })
    await commitAllFor(9_000)
    expect(recovery.listingError).toBe('handover_unreadable')
    expect(errors()).toMatchObject([{ code: 'handover_unreadable' }])
    isFailing = false
    await commitAllFor(5_000)
    expect(recovery.listingError).toBeNull()
    expect(handovers()).toEqual([])
  },
)

test.each(['open', 'state', 'remove'] as const)('a file for which %s fails is tried again', async call => {
  folder.handOver(1, elements)
  let failures = 3
  const fail = () => Promise.reject(Object.assign(new Error('EIO: no'), { code: 'EIO' }))
  start({ [call]: (path: string) => (failures-- > 0 ? fail() : promptDisk[call](path)) })
  await commitAllFor(60_000)
  expect(handovers()).toEqual([])
})

test('a file that cannot even be looked at keeps no other from coming home', async () => {
  folder.handOver(1, elements)
  folder.handOver(2, [element(2, 1)])
  const fail = () => Promise.reject(Object.assign(new Error('EIO: no'), { code: 'EIO' }))
  const isBad = (path: string) => path.includes(producerId(1))
  start({
    state: path => (isBad(path) ? fail() : promptDisk.state(path)),
    open: path => (isBad(path) ? fail() : promptDisk.open(path)),
  })
  await commitAllFor(5_000)
  expect(handovers()).toEqual([`numbers.db-${producerId(1)}.handover`])
  expect(recovery.notes()[0]).toMatch(/handover_unreadable/)
})

test('a file that nobody confirms does not keep others from coming home', async () => {
  for (let producer = 1; producer <= 9; producer++) folder.handOver(producer, [element(producer, 1)])
  start()
  for (let passed = 0; passed < 60_000; passed += 100) {
    await time.pass(100)
    for (const read of await queue.read())
      if (Number(read.split(' ')[0]) > 5) await commit({ [read.split(' ')[0]!]: 1 })
  }
  expect(handovers()).toHaveLength(5)
  await commitAllFor(30_000)
  expect(handovers()).toEqual([])
})

test('no more of a file is in memory than the queue takes', async () => {
  const count = 2_000
  folder.handOver(
    1,
    Array.from({ length: count }, (_, index) => element(1, index + 1)),
  )
  start()
  await time.pass(5_000)
  expect(await queue.length()).toBeLessThan(100)
  await commitAllFor(60_000)
  expect(await queue.watermarks()).toEqual(new Map([[producerId(1), count]]))
  expect(handovers()).toEqual([])
})

test('the parts of what was divided arrive one after the other, at once', async () => {
  for (let sequence = 1; sequence <= 12; sequence++) folder.handOver(1, [element(1, sequence)])
  start()
  let committed = 0
  for (let passed = 0; passed < 12_000; passed += 100) {
    await time.pass(100)
    const batches = await queue.read()
    expect([[], [element(1, committed + 1)]]).toContainEqual(batches)
    if (batches.length > 0) await commit({ [producerId(1)]: ++committed })
  }
  expect([committed, handovers()]).toEqual([12, []])
})

test('a part that waits for a later one lets it go first, after a while', async () => {
  folder.handOver(1, [element(1, 2)])
  folder.handOver(1, [element(1, 1)])
  start()
  for (let passed = 0; passed < 20_000; passed += 100) {
    await time.pass(100)
    // A store that waits for the first one.
    const [first] = await queue.read()
    if (first === element(1, 2))
      await queue.publish({
        watermarks: new Map([[producerId(1), 0]]),
        parked: [{ producer: producerId(1), sequence: 2 }],
        outcomes: [],
        discarded: [],
      })
    if (first === element(1, 1)) await commit({ [producerId(1)]: 2 })
  }
  expect(handovers()).toEqual([])
})
