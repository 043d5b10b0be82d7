import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { encodeBatch } from '../../batch/writer.ts'
import { batch, producerId } from '../kit/builders.ts'
import { until } from '../kit/condition.ts'
import { Folder, Program } from '../kit/service.ts'
import { TestBed } from '../kit/test-bed.ts'

const bed = new TestBed()
/** Where the files come from: another machine. */
let other: Folder
beforeEach(() => {
  other = bed.use(new Folder())
})

const elements = [1, 2].map(sequence => encodeBatch(batch({ producer: 9, sequence, sums: { foo: 5 } })))
const handovers = (path = bed.folder.path) => readdirSync(path).filter(name => name.includes('.handover'))
async function recover(
  file: string,
  ...args: string[]
): Promise<{ exitCode: number | null; output: string }> {
  const program = bed.use(new Program(['recover', file, '--database', bed.folder.database, ...args]))
  return { exitCode: await program.exited, output: program.output }
}

test('a file from elsewhere is delivered by the service that runs, once', async () => {
  const service = await bed.start('--web-processes', '1')
  const file = other.handOver(9, elements)
  copyFileSync(file, join(other.path, 'copy'))
  for (const name of ['copy', basename(file)]) {
    const { exitCode, output } = await recover(join(other.path, name))
    expect(output).toContain(`2 batches (1 to 2) of producer ${producerId(9)}, 2 increments\n`)
    expect(exitCode).toBe(0)
    await service.hasTotals(new Map([['foo', '10']]))
    await until('the file is gone', () => handovers().length === 0)
  }
  expect(handovers(other.path)).toEqual([basename(file)])
  expect(bed.folder.totals().get('foo')).toBe('10')
})

test('without a service it waits in the state directory for the next one', async () => {
  const stateDir = join(bed.folder.path, 'state')
  const args = ['--state-dir', stateDir]
  const { output } = await recover(other.handOver(9, elements), ...args)
  expect(output).toContain('whether it belongs to this database is not known\n')
  const [name] = handovers(stateDir)
  expect(name).toBe(`numbers.db-${producerId(9)}.handover`)
  expect((await recover(join(stateDir, name!), ...args)).output).toContain('looks for it already')
  const service = await bed.start(...args)
  await service.hasTotals(new Map([['foo', '10']]))
  await until('the file is gone', () => handovers(stateDir).length === 0)
})

test('a file that is not complete is refused in one line, and nothing is left behind', async () => {
  const file = other.handOver(9, elements)
  truncateSync(file, readFileSync(file).length - 1)
  const { exitCode, output } = await recover(file)
  expect(output).toMatch(/^piccolo recover: .*handover: it is cut off \[handover_incomplete\]: .*\n$/)
  expect(exitCode).toBe(69)
  expect(handovers()).toEqual([])
})

test('a file of another store is refused, with the database and with the queue', async () => {
  const redis = await bed.startRedis()
  const service = await bed.start('--redis', redis.url)
  const file = other.handOver(9, elements, 'theirs')
  for (const args of [[], ['--redis', redis.url]]) {
    const { exitCode, output } = await recover(file, ...args)
    expect(output).toMatch(/is of the store theirs, this is the store [0-9a-f-]{36} \[handover_foreign\]/)
    expect(exitCode).toBe(78)
  }
  const own = other.handOver(9, elements, bed.folder.sql('SELECT id FROM store'))
  expect((await recover(own, '--redis', redis.url)).exitCode).toBe(0)
  await service.hasTotals(new Map([['foo', '10']]))
})

test('a path that is no file, or no argument, gives one line', async () => {
  mkdirSync(join(other.path, 'folder'))
  writeFileSync(join(other.path, 'empty'), '')
  symlinkSync(other.handOver(9, elements), join(other.path, 'link'))
  for (const name of ['folder', 'empty', 'nowhere', '']) {
    const { exitCode, output } = await recover(name && join(other.path, name))
    expect(output).toMatch(/^piccolo recover.*\n$/)
    expect(exitCode).not.toBe(0)
    expect(exitCode).not.toBe(70)
  }
  expect((await recover(join(other.path, 'link'))).exitCode).toBe(0)
})

test('no room for the copy is one line', async () => {
  writeFileSync(join(other.path, 'file'), '')
  const stateDir = join(other.path, 'file', 'state')
  const { exitCode, output } = await recover(other.handOver(9, elements), '--state-dir', stateDir)
  expect(output).toMatch(/piccolo recover: cannot copy it to .*ENOTDIR/)
  expect(exitCode).toBe(69)
})
