import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { writeFolder } from './folder.ts'
import { requestCountOf } from './report.ts'
import { differences, expectedSums } from './sums.ts'
import { targetsOf } from './targets.ts'

const plan = { seed: 3, targetCount: 7, keyCount: 4, valueMax: 2 ** 53 - 1 }
const targets = [...targetsOf(plan)]
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'piccolo-sums-'))
  rmSync(folder, { recursive: true })
  writeFolder(folder, plan, 'http://localhost/increment', { withHttp: false, onProgress: () => {} })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Sends the targets as vegeta does, round and round. */
function send(requestCounts: readonly number[]): Map<string, bigint> {
  const sums = new Map(targets.map(({ key }) => [key, 0n]))
  for (const count of requestCounts)
    for (let index = 0; index < count; index++) {
      const { key, value } = targets[index % targets.length]!
      sums.set(key, sums.get(key)! + value)
    }
  return sums
}

test('expected sums are those of sending the targets one by one', async () => {
  const anyCounts = fc.array(fc.nat(40), { minLength: 1, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(anyCounts, async requestCounts => {
      const expected = await expectedSums(folder, { requestCounts })
      expect(expected.sums).toEqual(send(requestCounts))
      expect(expected.requestCount).toBe(requestCounts.reduce((sum, count) => sum + count, 0))
    }),
  )
})

test('passes are whole rounds, and sums beyond 2^53 are exact', async () => {
  const { sums } = await expectedSums(folder, { passCount: 999 })
  expect(sums).toEqual(send([999 * targets.length]))
})

test('each total that is off by one is found', () => {
  const sums = send([8])
  expect(differences(sums, key => sums.get(key)!)).toEqual([])
  for (const [key, sum] of sums) {
    const found = differences(sums, each => sums.get(each)! + (each === key ? 1n : 0n))
    expect(found).toEqual([{ key, expected: sum, is: sum + 1n }])
  }
})

test.each([
  ['sums.tsv', 'key without a sum\n', { passCount: 1 }, /sums\.tsv is damaged at line 1/],
  ['targets.jsonl', '', { requestCounts: [1] }, /targets\.jsonl is damaged at line 1/],
  [
    'targets.jsonl',
    `{"body":"${btoa('key=other&value=1')}"}`,
    { requestCounts: [1] },
    /targets\.jsonl is damaged at line 1/,
  ],
  ['targets.jsonl', 'no JSON', { requestCounts: [1] }, /targets\.jsonl is damaged at line 1/],
])('damage of %s (%j) is told', async (name, content, attacks, message) => {
  const path = join(folder, name)
  const before = readFileSync(path)
  writeFileSync(path, content)
  await expect(expectedSums(folder, attacks)).rejects.toThrow(message)
  writeFileSync(path, before)
})

test.each([
  ['{"requests":9,"status_codes":{"200":9}}', 9],
  ['{"requests":9,"status_codes":{"200":8,"202":1}}', 9],
  ['{"requests":9,"status_codes":{"0":2,"200":6,"503":1}}', '3 of 9 requests'],
  ['{"requests":9,"status_codes":{"0":2,"200":6,"503":1}}', '(2 with no answer, 1 with 503)'],
  ['{"requests":"9","status_codes":{}}', 'is not a report'],
  ['{"requests":9}', 'is not a report'],
  ['null', 'is not a report'],
  ['Requests [total, rate, throughput]', 'cannot read'],
])('a report %s of vegeta says %j', (content, said) => {
  const path = join(folder, 'report.json')
  writeFileSync(path, content)
  if (typeof said === 'number') expect(requestCountOf(path)).toBe(said)
  else expect(() => requestCountOf(path)).toThrow(said)
})
