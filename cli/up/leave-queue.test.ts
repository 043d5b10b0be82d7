import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { encodeBatch } from '../../batch/writer.ts'
import { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import { listHandovers } from '../../intake/handover/handover-files.ts'
import { systemDisk } from '../../intake/handover/disk.ts'
import { readManifestAt } from '../../intake/handover/file-reader.ts'
import { batch, producerId } from '../../test/kit/builders.ts'
import { Folder } from '../../test/kit/service.ts'
import { leaveQueue } from './leave-queue.ts'

const log = pino({ level: 'silent' })
let folder: Folder
let queue: EmbeddedQueue
beforeEach(async () => {
  folder = new Folder()
  queue = new EmbeddedQueue(systemClock)
  await queue.bind('the store')
})
afterEach(() => {
  vi.unstubAllEnvs()
  folder[Symbol.dispose]()
})

const element = (producer: number, sequence: number) => encodeBatch(batch({ producer, sequence }))
async function push(producer: number, ...sequences: number[]): Promise<void> {
  for (const sequence of sequences) {
    const firstUnconfirmed = sequences[0]!
    const name = { producer: producerId(producer), sequence, firstUnconfirmed }
    await queue.push({ ...name, element: element(producer, sequence) })
  }
}
function leave(timeoutMs = 0, database = folder.database): Promise<boolean> {
  return leaveQueue({ queue, place: { database, stateDir: null }, clock: systemClock, timeoutMs, log })
}
/** `producer: first + count` of each file. */
async function written(): Promise<string[]> {
  const files = await listHandovers(systemDisk, { database: folder.database, stateDir: null })
  const manifests = await Promise.all(files.map(({ path }) => readManifestAt(systemDisk, path)))
  return manifests.map(each => `${Number(each.producer)}: ${each.sequenceFirst} + ${each.batchCount}`)
}

test('each producer gets a file of its own, with the store that it belongs to', async () => {
  await push(1, 5, 6)
  await push(2, 1)
  expect(await leave()).toBe(true)
  expect(await written()).toEqual(['1: 5 + 2', '2: 1 + 1'])
  const [file] = await listHandovers(systemDisk, { database: folder.database, stateDir: null })
  expect((await readManifestAt(systemDisk, file!.path)).header?.store).toBe('the store')
})

test('batches that the web process wrote down are not written again, unless its file lacks some', async () => {
  await push(1, 5, 6)
  folder.handOver(
    1,
    [5, 6, 7].map(sequence => element(1, sequence)),
  )
  await push(2, 1, 2)
  folder.handOver(2, [element(2, 2)])
  writeFileSync(join(folder.path, `numbers.db-${producerId(3)}.handover`), '')
  await push(3, 1)
  expect(await leave()).toBe(true)
  const files = folder.files().filter(name => name.includes(producerId(3)))
  expect(files).toHaveLength(2)
  writeFileSync(join(folder.path, `numbers.db-${producerId(3)}.handover`), '')
  await expect(written()).rejects.toMatchObject({ code: 'handover_incomplete' })
})

test('a gap makes two files', async () => {
  await push(1, 5, 6)
  await push(1, 9)
  expect(await leave()).toBe(true)
  expect(await written()).toEqual(['1: 5 + 2', '1: 9 + 1'])
})

test('where nothing can be written it tries until the time is over, and says so', async () => {
  vi.stubEnv('TMPDIR', join(folder.path, 'file', 'x'))
  writeFileSync(join(folder.path, 'file'), '')
  await push(1, 5)
  const database = join(folder.path, 'file', 'numbers.db')
  expect(await leave(0, database)).toBe(false)
  const left = leave(20_000, database)
  rmSync(join(folder.path, 'file'))
  expect(await left).toBe(true)
})

test('one file that cannot be written keeps no other from it', async () => {
  await push(1, 1)
  await push(2, 1)
  await push(3, 1)
  // Whatever name is tried for it, it is too long.
  const remains = await queue.remains()
  const long = 'f'.repeat(300)
  const entries = [...remains].map(([id, elements]) => [id.endsWith('2') ? long : id, elements] as const)
  Object.assign(queue, { remains: async () => new Map(entries) })
  expect(await leave()).toBe(false)
  expect(await written()).toEqual(['1: 1 + 1', '3: 1 + 1'])
})
