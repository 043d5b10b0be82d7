import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { encodeBatch } from '../../queue/batch-writer.ts'
import { EmbeddedQueue } from '../../queue/embedded.ts'
import { readHandover } from '../../queue/handover.ts'
import { batch } from '../../test/builders.ts'
import { SimulatedTime, Life } from '../../test/simulation/time.ts'
import { HandoverTaker, leaveHandover } from './handover.ts'
import { Producer } from './producer.ts'

let folder: string
let lines: string[]
const producer = Producer.resumed([encodeBatch(batch({ producer: 1, sequence: 7, sums: { a: 2 } }))], 0)
const elements = producer.unconfirmed.map(({ element }) => element)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'piccolo-handover-'))
  lines = []
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

/** A path that nobody can write to, not even root: its folder is a file. */
function unwritable(): string {
  writeFileSync(join(folder, 'file'), '')
  return join(folder, 'file', 'numbers.db')
}
const log = () => pino({ level: 'info' }, { write: line => lines.push(line) })

test('what the queue did not take is left beside the database', () => {
  leaveHandover(join(folder, 'numbers.db'), producer, log())
  expect(readdirSync(folder)).toEqual([`numbers.db-${producer.id}.handover`])
  expect(readHandover(join(folder, `numbers.db-${producer.id}.handover`))).toEqual(elements)
})

test('with no room beside the database it is left in the folder for temporary files, and the log says where', () => {
  vi.stubEnv('TMPDIR', folder)
  leaveHandover(unwritable(), producer, log())
  const path = join(folder, `numbers.db-${producer.id}.handover`)
  expect(readHandover(path)).toEqual(elements)
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({ path, batchCount: 1 })
})

test('with no room anywhere it throws rather than lose batches in silence', () => {
  vi.stubEnv('TMPDIR', unwritable())
  expect(() => leaveHandover(unwritable(), producer, log())).toThrow('ENOTDIR')
})

test('a file is removed when the store has its batches, not when the queue has', async () => {
  const database = join(folder, 'numbers.db')
  const time = new SimulatedTime()
  const clock = time.clockOf(new Life())
  const queue = new EmbeddedQueue(clock)
  leaveHandover(database, producer, log())
  const takeFor = async (ms: number) => {
    const taker = new HandoverTaker({ database, queue, clock, log: log() })
    taker.start()
    await time.pass(ms)
    const stopped = taker.stop()
    await time.pass(1_000)
    await stopped
  }
  await takeFor(5_000)
  expect(await queue.read()).toEqual(elements)
  expect(readdirSync(folder)).toHaveLength(1)
  await queue.publish({ watermarks: new Map([[producer.id, 7]]), parked: [], outcomes: [], discarded: [] })
  await takeFor(5_000)
  expect(readdirSync(folder)).toEqual([])
})
