import assert from 'node:assert'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type Driven, type DriverOptions, incrementsOf, linesPerBody } from './batch-driver.ts'
import { cpuNanosecondsOf, startNode, startService, totalsIn } from './service.ts'

export interface Batches {
  readonly keyCount: number
  readonly incrementsPerSecond: number
  /** Processor time of the web process, as the kernel counts it. */
  readonly cpuNanosecondsPerIncrement: number
  /** Share of a core that the web process had while it was driven. */
  readonly webCoreShare: number
}

/**
 * NDJSON bodies of 1,000 lines, end to end into one web process with a core of its own; the driver, the
 * consumer and the parent share another one. Afterwards every total in the database has to be right.
 */
export async function measureBatches(options: Omit<DriverOptions, 'port'>): Promise<Batches> {
  const folder = mkdtempSync(join(tmpdir(), 'piccolo-batches-'))
  const database = join(folder, 'numbers.db')
  const port = 28_411
  const service = await startService(port, database)
  try {
    // To warm up; it counts for the totals all the same.
    const warmUp = await drive({ ...options, port, durationMs: 2_000 })
    const before = cpuNanosecondsOf(service.pid)
    const driven = await drive({ ...options, port })
    const cpuNanoseconds = cpuNanosecondsOf(service.pid) - before
    await service.stop()
    checkTotals(database, options.keyCount, [warmUp, driven])
    const increments = driven.answered.reduce((sum, each) => sum + each, 0) * linesPerBody
    return {
      keyCount: options.keyCount,
      incrementsPerSecond: (increments * 1_000) / driven.elapsedMs,
      cpuNanosecondsPerIncrement: cpuNanoseconds / increments,
      webCoreShare: cpuNanoseconds / 1e6 / driven.elapsedMs,
    }
  } finally {
    await service.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The driver as a process of its own. */
async function drive(options: DriverOptions): Promise<Driven> {
  const driver = startNode('bench/probes/batch-driver.ts', JSON.stringify(options))
  const output = text(driver.stdout!)
  const [code] = await once(driver, 'exit')
  if (code !== 0) throw new Error(`the driver ended with ${code}`)
  return JSON.parse(await output)
}

/** Every key, and every increment: a total that is wrong by one is wrong. */
function checkTotals(database: string, keyCount: number, runs: readonly Driven[]): void {
  const expected = new Map<string, number>()
  for (const [body, count] of runs[0]!.answered.entries()) {
    const answeredCount = count + runs[1]!.answered[body]!
    for (const { key, value } of incrementsOf(body, keyCount))
      expected.set(key, (expected.get(key) ?? 0) + answeredCount * value)
  }
  assert.deepEqual(totalsIn(database), expected)
}

if (process.argv[1] === import.meta.filename)
  for (const keyCount of [1, 9_000, 100_000]) {
    const measured = await measureBatches({ keyCount, connectionCount: 4, durationMs: 5_000 })
    const perCore = 1_000 / measured.cpuNanosecondsPerIncrement
    console.log(
      `${keyCount} keys: ${(measured.incrementsPerSecond / 1e6).toFixed(2)} M increments/s with ` +
        `${(measured.webCoreShare * 100).toFixed(0)} % of a core: ` +
        `${measured.cpuNanosecondsPerIncrement.toFixed(0)} ns each, ${perCore.toFixed(1)} M/s a core; totals right`,
    )
  }
