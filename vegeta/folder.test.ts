import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readPlan, writeFolder } from './folder.ts'
import { bodyOfJsonTarget } from './formats.ts'
import { linesOf } from './lines.ts'

const url = 'http://localhost:3333/increment'
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'piccolo-folder-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(given: { seed?: number; targetCount?: number; keyCount?: number; withHttp?: boolean } = {}) {
  const { seed = 1, targetCount = 50, keyCount = Math.min(targetCount, 20), withHttp = true } = given
  const plan = { seed, targetCount, keyCount, valueMax: 10 }
  writeFolder(folder, plan, url, { withHttp, onProgress: () => {} })
}
const read = (name: string) => readFileSync(join(folder, name), 'utf8')
const lines = (name: string) => read(name).split('\n').slice(0, -1)
const files = () => readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()

function sumsOf(bodies: readonly string[]): Map<string, bigint> {
  const sums = new Map<string, bigint>()
  for (const body of bodies) {
    const fields = new URLSearchParams(body)
    const key = fields.get('key')!
    sums.set(key, (sums.get(key) ?? 0n) + BigInt(fields.get('value')!))
  }
  return sums
}

test('the sums are those of the bodies, in both formats', () => {
  write()
  const sums = new Map(lines('sums.tsv').map(line => [line.split('\t')[0]!, BigInt(line.split('\t')[1]!)]))
  const bodyPaths = lines('targets.http').filter(line => line.startsWith('@'))
  expect(sums.size).toBe(20)
  expect(lines('targets.jsonl')).toHaveLength(50)
  expect(sumsOf(lines('targets.jsonl').map(line => bodyOfJsonTarget(line)!))).toEqual(sums)
  expect(sumsOf(bodyPaths.map(path => readFileSync(path.slice(1), 'utf8')))).toEqual(sums)
})

test('both formats have the same bodies in the same order', () => {
  write()
  const bodyPaths = lines('targets.http').filter(line => line.startsWith('@'))
  expect(bodyPaths.map(path => readFileSync(path.slice(1), 'utf8'))).toEqual(
    lines('targets.jsonl').map(line => bodyOfJsonTarget(line)!),
  )
})

test('the same seed makes the same files', () => {
  write()
  const before = files()
    .filter(name => name !== 'bodies')
    .map(read)
  write({ seed: 2 })
  expect(
    files()
      .filter(name => name !== 'bodies')
      .map(read),
  ).not.toEqual(before)
  write()
  expect(
    files()
      .filter(name => name !== 'bodies')
      .map(read),
  ).toEqual(before)
})

test('targets are written over older ones, of which nothing stays, and beside what is not ours', () => {
  write()
  writeFileSync(join(folder, 'results.bin'), 'mine')
  writeFileSync(join(folder, 'bodies', 'note.txt'), 'mine')
  write({ targetCount: 2 })
  const rest = ['bodies', 'bodies/note.txt', 'plan.json', 'results.bin', 'sums.tsv', 'targets.jsonl']
  expect(files()).toEqual([...rest, 'bodies/0000001', 'bodies/0000002', 'targets.http'].sort())
  write({ withHttp: false })
  expect(files()).toEqual(rest)
})

test('a folder that has other things in it is refused and stays as it was', () => {
  writeFileSync(join(folder, 'targets.http'), 'mine')
  expect(() => write()).toThrow(`--folder ${folder} is not empty`)
  expect(files()).toEqual(['targets.http'])
  expect(read('targets.http')).toBe('mine')
})

test('a folder that cannot be written is refused in one line', () => {
  folder = join(folder, 'file')
  writeFileSync(folder, '')
  expect(() => write()).toThrow(/^cannot write to --folder .*EEXIST.*$/)
})

test('targets that were not written to the end are none', () => {
  expect(() => readPlan(folder)).toThrow('has no complete targets; piccolo targets makes them')
  write()
  expect(readPlan(folder).targetCount).toBe(50)
  const stop = () => {
    throw new Error('the power fails')
  }
  const plan = { seed: 1, targetCount: 100_000, keyCount: 1, valueMax: 1 }
  expect(() => writeFolder(folder, plan, url, { withHttp: false, onProgress: stop })).toThrow(
    'the power fails',
  )
  expect(() => readPlan(folder)).toThrow('has no complete targets')
  expect(existsSync(join(folder, 'targets.http'))).toBe(false)
  write()
  expect(readPlan(folder).targetCount).toBe(50)
})

test('only a line feed ends a line', async () => {
  const path = join(folder, 'lines')
  writeFileSync(path, 'a\u2028b\u0085c\rd\n\né')
  const found: string[] = []
  for await (const line of linesOf(path)) found.push(line)
  expect(found).toEqual(['a\u2028b\u0085c\rd', '', 'é'])
})
