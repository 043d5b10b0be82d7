import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { piccolo } from './up-service.ts'

/** In milliseconds. */
export interface Latency {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

export interface Targets {
  readonly folder: string
  /** Compares every total with what it must be after the attacks so far; throws if one differs. */
  check(database: string): string
  remove(): void
}

/** The seed project's random targets, with new keys. */
export function makeTargets(url: string, targetCount: number): Targets & { reports: string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'piccolo-targets-'))
  piccolo(['targets', String(targetCount), url, '--folder', join(folder, 'targets'), '--format', 'json'])
  const reports: string[] = []
  return {
    folder,
    reports,
    check: database => {
      const sent = ['--folder', join(folder, 'targets'), '--report', reports.join(',')]
      return piccolo(['check-sums', '--database', database, ...sent]).trim()
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** An open loop at a constant rate. Throws if a request fails, or if vegeta falls behind by more than 2 %. */
export async function attack(
  targets: { folder: string; reports: string[] },
  { rate, seconds, isCounted }: { rate: number; seconds: number; isCounted: boolean },
): Promise<Latency> {
  const number = targets.reports.length
  const results = join(targets.folder, `results-${number}.bin`)
  const file = join(targets.folder, 'targets', 'targets.jsonl')
  const load = ['-rate', String(rate), '-duration', `${seconds}s`, '-max-workers', '1000']
  const args = ['attack', '-format', 'json', '-targets', file, ...load, '-output', results]
  await new Promise<void>((resolve, reject) => {
    const vegeta = spawn('vegeta', args, { stdio: 'inherit' })
    vegeta.once('error', reject)
    vegeta.once('exit', code => (code === 0 ? resolve() : reject(new Error(`vegeta ended with ${code}`))))
  })
  const json = execFileSync('vegeta', ['report', '-type', 'json', results], { encoding: 'utf8' })
  const report = JSON.parse(json)
  if (report.success !== 1) throw new Error(`requests failed: ${JSON.stringify(report.status_codes)}`)
  if (report.rate < 0.98 * rate) throw new Error(`vegeta managed ${report.rate} requests a second`)
  if (isCounted) {
    const path = join(targets.folder, `report-${number}.json`)
    writeFileSync(path, json)
    targets.reports.push(path)
  }
  return { ...latenciesOf(results), max: report.latencies.max / 1e6 }
}

/** vegeta reports estimates, and none of 99.9 %: these are of every single request. */
function latenciesOf(results: string): Omit<Latency, 'max'> {
  const csv = execFileSync('vegeta', ['encode', '-to', 'csv', results], { maxBuffer: 2 ** 30 }).toString(
    'latin1',
  )
  const sorted = Float64Array.from(
    csv.trimEnd().split('\n'),
    line => Number(line.split(',', 3)[2]) / 1e6,
  ).sort()
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]!
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
}
