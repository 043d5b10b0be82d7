import { type Result, type Subject, subjectOf } from './result.ts'
import { readable } from './statistics.ts'

export interface Bar {
  readonly label: string
  readonly value: number
  readonly isOurs: boolean
}

export const subjects: Readonly<Record<Subject, { readonly unit: string; readonly title: string }>> = {
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

/** The chart of a result, as SVG: one bar a contender. */
export function resultChart({ title, subject, entries }: Result): string {
  const bars = entries.map(entry => ({
    label: entry.name,
    value: subjectOf(entry, subject),
    isOurs: entry.name.startsWith('piccolo'),
  }))
  return barChart({ title: `${title}: ${subjects[subject].title}`, unit: subjects[subject].unit, bars })
}

/** Bars from zero, longest at the full width, in the order given. Readable on light and dark pages. */
export function barChart(chart: { title: string; unit: string; bars: readonly Bar[] }): string {
  const { title, unit, bars } = chart
  const largest = Math.max(...bars.map(bar => bar.value), Number.MIN_VALUE)
  const height = headHeight + bars.length * rowHeight + 10
  const rows = bars.map(({ label, value, isOurs }, index) => {
    const y = headHeight + index * rowHeight
    const length = Math.max(1, (value / largest) * (width - labelWidth - valueWidth)).toFixed(1)
    const colour = isOurs ? '#c2410c' : '#64748b'
    const textY = y + barHeight / 2 + 5
    return `  <text x="${labelWidth - 10}" y="${textY}" text-anchor="end">${escaped(label)}</text>
  <rect x="${labelWidth}" y="${y}" width="${length}" height="${barHeight}" rx="2" fill="${colour}"/>
  <text x="${(labelWidth + Number(length) + 8).toFixed(1)}" y="${textY}">${readable(value)} ${unit}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">
  <title>${escaped(title)}</title>
  <rect width="${width}" height="${height}" fill="#ffffff"/>
  <g font-family="system-ui, sans-serif" font-size="14" fill="#1e293b">
  <text x="10" y="24" font-size="13">${escaped(title)}</text>
${rows.join('\n')}
  </g>
</svg>
`
}

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
