import { UsageError } from '../lib/errors.ts'
import { folderPaths, readPlan } from './folder.ts'
import { bodyOfJsonTarget } from './formats.ts'
import { linesOf } from './lines.ts'

/** The requests sent: each element is one attack, which starts at the first target and goes round. */
export type Attacks = { readonly requestCounts: readonly number[] } | { readonly passCount: number }

export interface Expected {
  readonly requestCount: number
  readonly sums: ReadonlyMap<string, bigint>
}

/**
 * The total of every key after these attacks with the targets in `folder`. Throws UsageError when it has no
 * complete targets, or they are damaged.
 */
export async function expectedSums(folder: string, attacks: Attacks): Promise<Expected> {
  const { targetCount } = readPlan(folder)
  const requestCounts = 'passCount' in attacks ? [attacks.passCount * targetCount] : attacks.requestCounts
  const passCount = sumOf(requestCounts.map(count => Math.floor(count / targetCount)))
  const partial = requestCounts.map(count => count % targetCount)
  const sums = await readSums(folder)
  for (const [key, sum] of sums) sums.set(key, sum * BigInt(passCount))
  await addPartialPasses(folder, sums, partial)
  return { requestCount: sumOf(requestCounts), sums }
}

export interface Difference {
  readonly key: string
  readonly expected: bigint
  readonly is: bigint
}

export function differences(
  expected: ReadonlyMap<string, bigint>,
  total: (key: string) => bigint,
): Difference[] {
  const found: Difference[] = []
  for (const [key, sum] of expected) {
    const is = total(key)
    if (is !== sum) found.push({ key, expected: sum, is })
  }
  return found
}

async function readSums(folder: string): Promise<Map<string, bigint>> {
  const path = folderPaths(folder).sums
  const sums = new Map<string, bigint>()
  for await (const line of linesOf(path)) {
    const [, key, sum] = /^(.+)\t(-?\d+)$/s.exec(line) ?? []
    if (key === undefined || sum === undefined || sums.has(key))
      throw new UsageError(`${path} is damaged at line ${sums.size + 1}; make the targets again`)
    sums.set(key, BigInt(sum))
  }
  return sums
}

/** Adds what vegeta sent once more than the rest: the first targets, in a round that it did not end. */
async function addPartialPasses(folder: string, sums: Map<string, bigint>, requestCounts: readonly number[]) {
  const path = folderPaths(folder).json
  const longest = Math.max(...requestCounts)
  if (longest === 0) return
  let index = 0
  for await (const line of linesOf(path)) {
    const times = requestCounts.filter(count => count > index).length
    if (times === 0) break
    const fields = new URLSearchParams(bodyOfJsonTarget(line) ?? '')
    const key = fields.get('key') ?? ''
    const sum = sums.get(key)
    if (sum === undefined) break
    sums.set(key, sum + BigInt(times) * BigInt(fields.get('value')!))
    index++
  }
  if (index < longest) throw new UsageError(`${path} is damaged at line ${index + 1}; make the targets again`)
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}
