import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { vegeta } from '../loads/vegeta.ts'
import { cores } from '../machine.ts'
import { median } from '../report/statistics.ts'
import { bare } from '../rivals/bare.ts'
import { piccolo } from '../rivals/piccolo.ts'
import { searchIn } from '../rivals/requirements.ts'
import type { Rival, Running } from '../rivals/rival.ts'

/** Of the process that answers, all processes of its service being on one core. */
export interface CoreWait {
  readonly name: string
  /** In each round: milliseconds of a second in which it was ready to run, and something else ran. */
  readonly waitMs: readonly number[]
  readonly p99Ms: readonly number[]
}

/**
 * What a service adds to its own latencies where its processes share a core, at 9,000 requests a second: the
 * time that Linux let the answering process wait (`/proc/PID/schedstat`). Unlike a latency it tells something
 * on a machine whose host takes its cores away, too. In turns; throws if a total is wrong.
 */
export async function measureCoreWaits(
  rivals: readonly Rival[],
  { rounds, seconds }: { rounds: number; seconds: number },
): Promise<CoreWait[]> {
  const folder = mkdtempSync(join(tmpdir(), 'piccolo-core-wait-'))
  const place = { folder, cache: folder, ...cores() }
  const load = vegeta({ rate: 9_000, keyCount: 9_000 })
  const started: { rival: Rival; running: Running; answered: number }[] = []
  const waits = rivals.map(({ name }) => ({ name, waitMs: [] as number[], p99Ms: [] as number[] }))
  try {
    try {
      for (const rival of rivals) started.push({ rival, running: await rival.start(place), answered: 0 })
      // The first round warms up.
      for (let round = 0; round <= rounds; round++) {
        for (const [index, each] of started.entries()) {
          const pid = (each.running.frontPids ?? each.running.pids)[0]!
          const before = waitedMs(pid)
          const sample = await load.run(each.running, { ...place, seconds })
          each.answered += sample.increments
          if (sample.failures > 0) throw new Error(`${each.rival.name}: ${sample.failures} failed`)
          if (round === 0) continue
          waits[index]!.waitMs.push((waitedMs(pid) - before) / seconds)
          waits[index]!.p99Ms.push(sample.latencyMs!.p99)
        }
      }
    } finally {
      for (const { running } of started) await running.stop()
    }
    for (const { rival, running, answered } of started) {
      const total = await running.total()
      if (total !== null && total !== answered)
        throw new Error(`${rival.name}: ${answered} answered, the total is ${total}`)
    }
    return waits
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Since the process began, of its main thread. */
function waitedMs(pid: number): number {
  const [, waitedNs] = readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')
  return Number(waitedNs) / 1e6
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [rounds = 7, seconds = 4] = process.argv.slice(2).map(Number)
  searchIn(process.env.PATH ?? '')
  for (const { name, waitMs, p99Ms } of await measureCoreWaits([bare, piccolo], { rounds, seconds })) {
    const each = waitMs.map(ms => ms.toFixed(1)).join(', ')
    console.log(
      `${name}: waited ${median(waitMs).toFixed(1)} ms a second (${each}), p99 ${median(p99Ms).toFixed(2)} ms`,
    )
  }
}
