import { type Result, type Subject, subjectOf } from './result.ts'
import { lineChart } from './line-chart.ts'
import { readable } from './statistics.ts'
import { drawing, escaped, ourColour, theirColour } from './svg.ts'

export interface Bar {
  readonly label: string
  readonly value: number
  readonly isOurs: boolean
}

const subjects: Readonly<Record<Subject, { readonly unit: string; readonly title: string }>> = {
  frontCpuUs: { unit: 'µs', title: 'CPU of an increment, process that answers (less is better)' },
  cpuUs: { unit: 'µs', title: 'CPU of an increment, all processes (less is better)' },
  incrementsPerSecond: { unit: '/s', title: 'Increments a second (more is better)' },
  p99: { unit: 'ms', title: 'Latency, 99th percentile (less is better)' },
}

const width = 760
const labelWidth = 240
const valueWidth = 110
const rowHeight = 28
const barHeight = 18
const headHeight = 40

/** The chart of a result, as SVG: one bar a candidate, or lines where something grows. */
export function resultChart({ subject, entries }: Result): string {
  const points = entries.flatMap(entry =>
    entry.point === undefined ? [] : [{ ...entry.point, y: subjectOf(entry, subject) }],
  )
  const { title, unit } = subjects[subject]
  if (points.length > 0) return lineChart({ title, unit, points })
  const bars = entries.map(entry => ({
    label: entry.name,
    value: subjectOf(entry, subject),
    isOurs: entry.name.startsWith('piccolo'),
  }))
  return barChart({ title, unit, bars })
}

/** Bars from zero, longest at the full width, in the order given. Readable on light and dark pages. */
export function barChart(chart: { title: string; unit: string; bars: readonly Bar[] }): string {
  const { title, unit, bars } = chart
  const largest = Math.max(...bars.map(bar => bar.value), Number.MIN_VALUE)
  const height = headHeight + bars.length * rowHeight + 10
  const rows = bars.map(({ label, value, isOurs }, index) => {
    const y = headHeight + index * rowHeight
    const length = Math.max(1, (value / largest) * (width - labelWidth - valueWidth)).toFixed(1)
    const colour = isOurs ? ourColour : theirColour
    const textY = y + barHeight / 2 + 5
    return `  <text x="${labelWidth - 10}" y="${textY}" text-anchor="end">${escaped(label)}</text>
  <rect x="${labelWidth}" y="${y}" width="${length}" height="${barHeight}" rx="2" fill="${colour}"/>
  <text x="${(labelWidth + Number(length) + 8).toFixed(1)}" y="${textY}">${readable(value)} ${unit}</text>`
  })
  return drawing(title, width, height, rows)
}
