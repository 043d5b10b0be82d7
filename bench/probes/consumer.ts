import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../lib/clock.ts'
import { createLog } from '../../lib/process/log.ts'
import type { Batch } from '../../batch/batch.ts'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import { BareLoop, compareTotals, fill, type Row } from './bare-loop.ts'
import { ConsumerRun } from './consumer-run.ts'

/**
 * Rows a second that the consumer commits, from encoded batches in an embedded queue to a file on the disk,
 * beside a bare loop that is handed the same rows in the same transactions, merged and sorted beforehand.
 * Both take turns, each on its own copy of one database; at the end every total of the two has to be equal.
 */
export interface Scenario {
  readonly name: string
  /** Keys in the database, of which the batches draw. */
  readonly keyCount: number
  readonly keyAt: (index: number) => string
}

export interface Outcome {
  readonly name: string
  /** Medians over the rounds. */
  readonly consumerRowsPerSecond: number
  readonly bareRowsPerSecond: number
  readonly ratio: number
  /** The bare loop when it is handed the rows of each batch as they come, neither merged nor sorted. */
  readonly ratioUnmerged: number
  /** Sums in batches, before they are merged. */
  readonly sumsPerSecond: number
  readonly rowsPerTransaction: number
}

const batchKeys = 10_000
/** A list of several transactions, so that there is something to read ahead. */
const batchesWaiting = 160
const short = (index: number) => `key:${String(index).padStart(10, '0')}`
const random = (index: number) =>
  createHash('md5')
    .update(String(index))
    .digest('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')

export const scenarios: readonly Scenario[] = [
  { name: '1 thousand keys', keyCount: 1_000, keyAt: short },
  { name: '100 thousand keys', keyCount: 100_000, keyAt: short },
  { name: '1 million keys', keyCount: 1_000_000, keyAt: short },
  { name: '1 million random keys of 36 bytes', keyCount: 1_000_000, keyAt: random },
  { name: '10 million keys', keyCount: 10_000_000, keyAt: short },
]

/** `batchCount` batches of up to 10,000 keys wait at the start of each round. */
export async function measureConsumer(
  scenario: Scenario,
  { roundCount, batchCount }: { roundCount: number; batchCount: number },
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'piccolo-bench-'))
  const paths = ['consumer', 'merged', 'unmerged'].map(name => join(folder, `${name}.db`))
  const [ourPath, mergedPath, unmergedPath] = paths as [string, string, string]
  try {
    prepare(scenario, paths)
    const run = new ConsumerRun(ourPath)
    const merged = new BareLoop(mergedPath, run.pragmas)
    const unmerged = new BareLoop(unmergedPath, run.pragmas)
    const rounds: Round[] = []
    // The first round warms up; its totals count all the same.
    for (let index = 0; index <= roundCount; index++) {
      const drawn = drawBatches(scenario, run, batchCount)
      settleDisk()
      const batches = await run.work(drawn)
      const transactions = batches.transactions.map(each => each.flatMap(rowsOf))
      const mergedRows = transactions.map(merge)
      settleDisk()
      const round = {
        consumerMs: batches.elapsedMs,
        mergedMs: sum(mergedRows.map(rows => merged.commit(rows))),
        unmergedMs: unmerged.commit(transactions[0]!),
        unmergedCount: transactions[0]!.length,
        rowCount: sum(mergedRows.map(rows => rows.length)),
        sumCount: sum(transactions.map(rows => rows.length)),
        transactionCount: transactions.length,
      }
      if (index > 0) rounds.push(round)
    }
    await run.close()
    merged.close()
    unmerged.close()
    compareTotals(ourPath, mergedPath)
    return outcomeOf(scenario, rounds)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** So that neither pays for what the other one left to be written. */
function settleDisk(): void {
  execFileSync('sync')
}

interface Round {
  readonly consumerMs: number
  readonly mergedMs: number
  /** Of one transaction: it is slow. */
  readonly unmergedMs: number
  readonly unmergedCount: number
  readonly rowCount: number
  readonly sumCount: number
  readonly transactionCount: number
}

function outcomeOf({ name }: Scenario, rounds: readonly Round[]): Outcome {
  const of = (read: (round: Round) => number) => median(rounds.map(read))
  return {
    name,
    consumerRowsPerSecond: of(({ rowCount, consumerMs }) => (1_000 * rowCount) / consumerMs),
    bareRowsPerSecond: of(({ rowCount, mergedMs }) => (1_000 * rowCount) / mergedMs),
    ratio: of(({ mergedMs, consumerMs }) => mergedMs / consumerMs),
    ratioUnmerged: of(
      ({ unmergedMs, unmergedCount, consumerMs, sumCount }) =>
        unmergedMs / unmergedCount / (consumerMs / sumCount),
    ),
    sumsPerSecond: of(({ sumCount, consumerMs }) => (1_000 * sumCount) / consumerMs),
    rowsPerTransaction: of(({ rowCount, transactionCount }) => rowCount / transactionCount),
  }
}

function prepare({ keyCount, keyAt }: Scenario, [first, ...others]: readonly string[]): void {
  const log = createLog({ level: 'silent', format: 'json', process: 'bench', isTerminal: false })
  void openSqliteStore(first!, { clock: systemClock, log }).close()
  if (keyAt === short) fill(first!, indices(keyCount, keyAt))
  else fill(first!, [...indices(keyCount, keyAt)].sort())
  for (const other of others) copyFileSync(first!, other)
}

function* indices<T>(count: number, itemAt: (index: number) => T): Generator<T> {
  for (let index = 0; index < count; index++) yield itemAt(index)
}

function drawBatches({ keyCount, keyAt }: Scenario, run: ConsumerRun, batchCount: number): Batch[] {
  return Array.from({ length: batchCount }, () => {
    const drawn = new Set<number>()
    while (drawn.size < Math.min(batchKeys, keyCount)) drawn.add(Math.floor(Math.random() * keyCount))
    const keys = [...drawn].map(keyAt)
    const sums = keys.map(() => Math.floor(Math.random() * 100) - 10)
    const sequence = run.nextSequence()
    const increments = keys.length
    const sealed = sequence * increments
    const oldestMs = systemClock.nowMs()
    return { producer: run.producer, sequence, oldestMs, increments, sealed, keys, sums, keyed: [] }
  })
}

function rowsOf({ keys, sums }: Batch): Row[] {
  return keys.map((key, index) => [key, Number(sums[index])])
}

function merge(rows: readonly Row[]): Row[] {
  const merged = new Map<string, number>()
  for (const [key, gain] of rows) merged.set(key, (merged.get(key) ?? 0) + gain)
  return [...merged].sort(([left], [right]) => (left < right ? -1 : 1))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((left, right) => left - right)[Math.floor(numbers.length / 2)]!
}

/** Arguments: words of the scenarios' names, and how many rounds. */
async function main(args: readonly string[]): Promise<void> {
  const roundCount = Number(args.find(arg => /^\d+$/.test(arg)) ?? 3)
  const words = args.filter(arg => !/^\d+$/.test(arg))
  console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, Node ${process.version}`)
  for (const scenario of scenarios) {
    if (words.length > 0 && !words.some(word => scenario.name.includes(word))) continue
    const outcome = await measureConsumer(scenario, { roundCount, batchCount: batchesWaiting })
    const thousands = (number: number) => `${Math.round(number / 1_000)} k`
    console.log(
      `${outcome.name}: consumer ${thousands(outcome.consumerRowsPerSecond)} rows/s, bare loop ` +
        `${thousands(outcome.bareRowsPerSecond)} rows/s, ratio ${outcome.ratio.toFixed(2)}; ` +
        `${thousands(outcome.sumsPerSecond)} sums/s, ${thousands(outcome.rowsPerTransaction)} rows a transaction, ` +
        `ratio to unmerged rows ${outcome.ratioUnmerged.toFixed(2)}`,
    )
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2))
