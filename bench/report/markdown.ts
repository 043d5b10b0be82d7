import type { Entry, Result, Subject } from './result.ts'
import { readable } from './statistics.ts'

const subjectNames: Readonly<Record<Subject, string>> = {
  frontCpuUs: 'that CPU',
  cpuUs: 'all CPU',
  incrementsPerSecond: 'increments',
  p99: 'p99',
}

/** One line a candidate: the medians, and whether the total was right. */
export function resultTable({ entries, skipped, subject, rounds, seconds }: Result): string {
  const isGrowth = new Set(entries.map(entry => entry.point?.line)).size > 1
  const first = (isGrowth ? entries[0]?.point?.line : entries[0]?.name) ?? ''
  const head = [
    'what',
    'increments/s',
    'CPU, answering process',
    `${subjectNames[subject]} beside ${first}`,
    'CPU, all processes',
    'p50 ms',
    'p99 ms',
    'p99.9 ms',
    'counted',
  ]
  const rows = entries.map(entry => [
    entry.name,
    readable(entry.incrementsPerSecond),
    `${readable(entry.frontCpuUs)} µs`,
    `${entry.ratio.toFixed(2)} ×`,
    `${readable(entry.cpuUs)} µs`,
    readable(entry.latencyMs?.p50 ?? Number.NaN),
    readable(entry.latencyMs?.p99 ?? Number.NaN),
    readable(entry.latencyMs?.p999 ?? Number.NaN),
    countedText(entry),
  ])
  const lines = [head, head.map((_, index) => (index === 0 ? '---' : '--:')), ...rows].map(
    cells => `| ${cells.join(' | ')} |`,
  )
  const notes = entries.map(({ name, does, load }) => `- ${name}: ${does}. Load: ${load}.`)
  const missing = skipped.map(({ name, reason }) => `- Not measured: ${name}, as ${reason}.`)
  const turns = `${rounds} ${rounds === 1 ? 'round' : 'rounds'} of ${seconds} s`
  const measure = `Medians of ${turns}; CPU is for one increment.`
  return [...lines, '', measure, '', ...notes, ...missing].join('\n')
}

function countedText({ counted, rounds }: Entry): string {
  const failures = rounds.reduce((sum, round) => sum + round.failures, 0)
  const failed = failures === 0 ? '' : `, ${failures.toLocaleString('en-US')} failed`
  return `${counted === null ? '–' : shareText(counted.share)}${failed}`
}

/** Rounded down, so that only what is complete is called so. */
function shareText(share: number): string {
  if (share === 1) return 'all'
  return share < 0.001 ? 'next to nothing' : `${(Math.floor(share * 1_000) / 10).toFixed(1)} %`
}
