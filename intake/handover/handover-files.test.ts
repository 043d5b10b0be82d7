import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { batch, producerId } from '../../test/kit/builders.ts'
import { Folder } from '../../test/kit/service.ts'
import { encodeBatch } from '../../batch/writer.ts'
import { isHandedOver, leaveBatches, listHandovers, type Place, writeHandover } from './handover-files.ts'
import { systemDisk } from './disk.ts'
import { readElements, readManifest, readManifestAt } from './file-reader.ts'

let folder: Folder
let lines: string[]
beforeEach(() => {
  folder = new Folder()
  lines = []
})
afterEach(() => {
  vi.unstubAllEnvs()
  folder[Symbol.dispose]()
})

const element = (sequence: number) =>
  encodeBatch(batch({ sequence, sums: { 'é\u2028': sequence }, increments: 2 }))
const elements = [7, 8, 9].map(element)
const place = () => ({ database: folder.database, stateDir: null })
const log = () => pino({ level: 'info' }, { write: line => lines.push(line) })
const names = async () => (await listHandovers(systemDisk, place())).map(({ name }) => name)
const manifest = (path: string) => readManifestAt(systemDisk, path)
/** A path that nobody can write to, not even root: its folder is a file. */
function unwritable(): string {
  writeFileSync(join(folder.path, 'file'), '')
  return join(folder.path, 'file', 'folder')
}
async function read(path: string): Promise<string[]> {
  const file = await systemDisk.open(path)
  const read: string[] = []
  for await (const each of readElements(file, await readManifest(file))) read.push(each)
  await file.close()
  return read
}

test('batches are read back as they were written', async () => {
  const path = folder.handOver(1, elements, 'a store')
  expect(await read(path)).toEqual(elements)
  const header = { store: 'a store', shard: 0, producer: producerId(1), batches: 3, increments: 6 }
  const expected = { header, producer: producerId(1), sequenceFirst: 7, batchCount: 3, increments: 6 }
  expect(await manifest(path)).toMatchObject(expected)
})

test('a file of many pieces is read whole', async () => {
  const long = Array.from({ length: 30 }, (_, index) => element(index + 1) + ' '.repeat(200_000 + index))
  expect(await read(folder.handOver(1, long))).toEqual(long)
})

test('a file that is cut off anywhere is not complete', async () => {
  const path = folder.handOver(1, elements)
  for (let size = readFileSync(path).length - 1; size >= 0; size--) {
    truncateSync(path, size)
    await expect(manifest(path), `${size} bytes`).rejects.toMatchObject({ code: 'handover_incomplete' })
  }
})

test('a file with any byte changed, or one more, is not complete', async () => {
  const path = folder.handOver(1, elements)
  const bytes = readFileSync(path)
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes)
    changed[at]! ^= 0x01
    writeFileSync(path, changed)
    await expect(manifest(path), `byte ${at}`).rejects.toMatchObject({
      code: expect.stringMatching(/handover_(incomplete|newer)/),
    })
  }
  writeFileSync(path, Buffer.concat([bytes, Buffer.from(' ')]))
  await expect(manifest(path)).rejects.toMatchObject({ code: 'handover_incomplete' })
})

test('a hole in a file that already has its full size, and its trailer, is found', async () => {
  const path = folder.handOver(1, elements)
  const bytes = readFileSync(path)
  writeFileSync(path, bytes.fill(0, 200, 300))
  await expect(manifest(path)).rejects.toMatchObject({ code: 'handover_incomplete' })
})

test('the first form is read, as long as each line is whole', async () => {
  const path = join(folder.path, `numbers.db-${producerId(1)}.handover`)
  const whole = elements.map(each => `${each}\n`).join('')
  writeFileSync(path, whole)
  expect(await read(path)).toEqual(elements)
  expect(await manifest(path)).toMatchObject({ header: null, sequenceFirst: 7, batchCount: 3 })
  const bytes = Buffer.from(whole)
  const ends = [...bytes.keys()].filter(at => bytes[at] === 0x0a).map(at => at + 1)
  for (let size = bytes.length - 1; size >= 0; size--) {
    if (ends.includes(size)) continue
    writeFileSync(path, bytes.subarray(0, size))
    await expect(manifest(path), `${size} bytes`).rejects.toMatchObject({ code: 'handover_incomplete' })
  }
})

test.each([
  ['a gap', [element(5), element(7)]],
  ['two producers', [element(5), encodeBatch(batch({ producer: 2, sequence: 6 }))]],
  ['a batch that does not decode', [element(5), `${producerId(1)} 6 {"increments":1}`]],
  ['a line that is no batch', [element(5), 'garbage']],
])('the first form with %s is not complete', async (_, given) => {
  const path = join(folder.path, `numbers.db-${producerId(1)}.handover`)
  writeFileSync(path, given.map(each => `${each}\n`).join(''))
  await expect(manifest(path)).rejects.toMatchObject({ code: 'handover_incomplete' })
})

test('a file of a later form is left for a later version', async () => {
  const path = folder.handOver(1, elements)
  writeFileSync(path, readFileSync(path, 'latin1').replace('handover/2', 'handover/3'), 'latin1')
  await expect(manifest(path)).rejects.toMatchObject({ code: 'handover_newer' })
})

test('anything but a file is left alone, at once', async () => {
  const path = (name: string) => join(folder.path, `numbers.db-${name}.handover`)
  mkdirSync(path('folder'))
  execFileSync('mkfifo', [path('fifo')])
  symlinkSync(folder.handOver(1, elements), path('link'))
  for (const name of ['folder', 'fifo'])
    await expect(manifest(path(name)), name).rejects.toMatchObject({ code: 'handover_unreadable' })
  await expect(manifest(path('link'))).rejects.toMatchObject({ code: 'ELOOP' })
})

test('a huge file of rubbish costs neither time nor memory', async () => {
  const path = join(folder.path, `numbers.db-${producerId(1)}.handover`)
  const good = readFileSync(folder.handOver(2, elements))
  for (const start of ['', `${element(1)}\n`, good]) {
    writeFileSync(path, start)
    truncateSync(path, 10 * 1024 ** 3)
    let bytes = 0
    const options = { onPiece: (bytesRead: number) => (bytes = bytesRead) }
    await expect(readManifestAt(systemDisk, path, options)).rejects.toMatchObject({
      code: 'handover_incomplete',
    })
    expect(bytes).toBeLessThan(100 * 1024 ** 2)
  }
})

test('files of other databases, and unfinished ones, are not hand-overs', async () => {
  for (const name of ['numbers.db', 'numbers.db-wal', 'other.db-1.handover', 'numbers.db-1.handover.part'])
    writeFileSync(join(folder.path, name), '')
  expect(await names()).toEqual([])
  const nowhere = { database: join(folder.path, 'nowhere', 'numbers.db'), stateDir: null }
  expect(await listHandovers(systemDisk, nowhere)).toEqual([])
})

test('a second file of a producer takes another name, whatever has the first one', async () => {
  mkdirSync(join(folder.path, `numbers.db-${producerId(1)}.handover`))
  folder.handOver(1, elements)
  folder.handOver(1, elements)
  const start = `numbers.db-${producerId(1)}`
  expect(await names()).toEqual([`${start}.handover`, `${start}.2.handover`, `${start}.3.handover`])
  const producers = (await listHandovers(systemDisk, place())).map(({ producer }) => producer)
  expect(new Set(producers)).toEqual(new Set([producerId(1)]))
})

test('a producer is handed over while a file of it is there, in either folder', () => {
  const stateDir = join(folder.path, 'state')
  const both = { database: folder.database, stateDir }
  expect(isHandedOver(both, producerId(1))).toBe(false)
  mkdirSync(join(folder.path, `numbers.db-${producerId(1)}.handover`))
  expect(isHandedOver(both, producerId(1))).toBe(false)
  folder.handOver(1, elements)
  writeHandover(stateDir, both, { store: null, producer: producerId(2), elements })
  expect(isHandedOver(both, producerId(1))).toBe(true)
  expect(isHandedOver(both, producerId(2))).toBe(true)
  expect(isHandedOver(both, producerId(3))).toBe(false)
})

const leftover = { store: null, producer: producerId(1), elements }
const leave = (place: Place) => leaveBatches(place, leftover, log()).paths

test('batches are left in the state directory', async () => {
  const stateDir = join(folder.path, 'state')
  const [path] = leave({ database: folder.database, stateDir })
  expect(path).toBe(join(stateDir, `numbers.db-${producerId(1)}.handover`))
  expect(await read(path!)).toEqual(elements)
})

test('with no room there they are left beside the database, where the next start finds them', async () => {
  const both = { database: folder.database, stateDir: unwritable() }
  const [path] = leave(both)
  expect((await listHandovers(systemDisk, both)).map(each => each.path)).toEqual([path])
  expect(lines.map(line => JSON.parse(line).level)).toEqual([60, 40])
})

test('with no room there either they are left in the folder for temporary files, and the log says where', async () => {
  const temporary = new Folder()
  vi.stubEnv('TMPDIR', temporary.path)
  const [path] = leave({ database: join(unwritable(), 'numbers.db'), stateDir: null })
  expect(path).toBe(join(temporary.path, `numbers.db-${producerId(1)}.handover`))
  expect(await read(path!)).toEqual(elements)
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({
    path,
    batchCount: 3,
    code: 'handover_misplaced',
    hint: `run piccolo recover ${path}`,
  })
  temporary[Symbol.dispose]()
})

test('with no room anywhere it says so, rather than lose batches in silence', () => {
  vi.stubEnv('TMPDIR', unwritable())
  const nowhere = { database: join(unwritable(), 'numbers.db'), stateDir: null }
  const { paths, unwritten } = leaveBatches(nowhere, leftover, log())
  expect([paths, unwritten]).toEqual([[], [leftover]])
})

test('a file that cannot be written leaves nothing behind', () => {
  const huge = {
    toString: () => {
      throw new Error('no space')
    },
  } as unknown as string
  expect(() => folder.handOver(1, [elements[0]!, huge])).toThrow()
  expect(folder.files()).toEqual([])
})

test('a file that was copied is as good as the one that it was copied from', async () => {
  const path = folder.handOver(1, elements)
  copyFileSync(path, `${path}.2`)
  utimesSync(`${path}.2`, 0, 0)
  expect(await read(`${path}.2`)).toEqual(elements)
})
