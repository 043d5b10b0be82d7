import { describe, expect, test } from 'vitest'
import { barChart, resultChart } from './chart.ts'
import { withResult } from './document.ts'
import { lineChart } from './line-chart.ts'
import { resultTable } from './markdown.ts'
import { type Entry, type Result, type Round, summary } from './result.ts'

const round = (perSecond: number, cpuUs: number): Round => ({
  incrementsPerSecond: perSecond,
  cpuUs,
  frontCpuUs: cpuUs / 2,
  failures: 0,
  latencyMs: { p50: 1, p99: cpuUs * 10, p999: null },
})

const entry = (name: string, rounds: readonly Round[], baseline = rounds): Entry => ({
  name,
  does: 'counts',
  load: 'wrk',
  rounds,
  ...summary(rounds, baseline, 'cpuUs'),
  counted: { answered: 100, total: 100, share: 1 },
})

const slow = [round(10, 4), round(10, 8), round(10, 100)]
const fast = [round(20, 2), round(30, 4), round(40, 300)]
const result: Result = {
  benchmark: 'some',
  title: 'Some <thing>',
  about: 'About it.',
  subject: 'cpuUs',
  isCharted: false,
  date: '2026-11-21',
  rounds: 3,
  seconds: 1,
  machine: { cores: '2' },
  entries: [entry('slow', slow), entry('fast', fast, slow)],
  skipped: [{ name: 'absent', reason: 'it is not installed' }],
}

describe('a summary', () => {
  test('compares round with round, so that a slow moment of the machine cancels out', () => {
    expect(summary(fast, slow, 'cpuUs').ratio).toBe(0.5)
    expect(summary(fast, slow, 'incrementsPerSecond').ratio).toBe(3)
  })

  test('has no latency where no round has one', () => {
    const mute = slow.map(each => ({ ...each, latencyMs: null }))
    expect(summary(mute, mute, 'cpuUs').latencyMs).toBeNull()
  })
})

describe('a table', () => {
  test('has the medians, the ratio, and who was not there and why', () => {
    const table = resultTable(result)
    expect(table).toContain('| fast | 30 | 2 µs | 0.50 × | 4 µs | 1 | 40 | – | all |')
    expect(table).toContain('- Not measured: absent, as it is not installed.')
  })

  test('never calls it all when something is missing', () => {
    const lossy = { ...entry('udp', slow), counted: { answered: 100_000, total: 99_999, share: 0.99999 } }
    expect(resultTable({ ...result, entries: [lossy] })).not.toContain('| all |')
  })
})

describe('a chart', () => {
  test('has bars as long as their values, and escapes what it is given', () => {
    const bars = [
      { label: 'a & b', value: 50, isOurs: false },
      { label: 'c', value: 100, isOurs: true },
    ]
    const svg = barChart({ title: '<t>', unit: 'µs', bars })
    const lengths = [...svg.matchAll(/<rect x="240" y="\d+" width="([\d.]+)"/g)].map(([, each]) =>
      Number(each),
    )
    expect(lengths[1]).toBe(2 * lengths[0]!)
    expect(svg).toContain('a &amp; b')
    expect(svg).not.toContain('<t>')
  })

  test('shows what the benchmark is about', () => {
    expect(resultChart(result)).toContain('8 µs')
    expect(resultChart({ ...result, subject: 'p99' })).toContain('80 ms')
  })
})

describe('a chart of what grows', () => {
  const points = [
    { line: 'piccolo', x: 1, y: 2 },
    { line: 'piccolo', x: 100, y: 4 },
    { line: 'piccolo', x: 10, y: 0 },
  ]

  test('has equal steps for equal factors, and begins at zero', () => {
    const svg = lineChart({ title: 'growth', unit: 'µs', points })
    const [first, second, third] = /polyline points="([^"]+)"/
      .exec(svg)![1]!
      .split(' ')
      .map(point => point.split(',').map(Number))
    expect(second![0]! - first![0]!).toBeCloseTo(third![0]! - second![0]!, 0)
    expect(first![1]).toBeCloseTo((second![1]! + third![1]!) / 2, 0)
  })

  test('is drawn where candidates have a place on a line', () => {
    const entries = result.entries.map((each, index) => ({
      ...each,
      point: { line: each.name, x: index + 1 },
    }))
    expect(resultChart({ ...result, entries })).toContain('<polyline')
    expect(resultChart(result)).not.toContain('<polyline')
  })
})

describe('the document', () => {
  const place = (name: string) =>
    `<!-- begin ${name}, written by npm run bench -- --docs -->\nold ${name}\n<!-- end ${name} -->\n`
  const document = `before\n${place('some')}${place('other')}after\n`

  test('keeps what people wrote and what has no new result, and is the same when written again', () => {
    const written = withResult(document, result)
    expect(written).toMatch(/^before\n/)
    expect(written).toMatch(/\nold other\n.*\nafter\n$/)
    expect(written).toContain('| fast | 30 |')
    expect(written).not.toContain('old some')
    expect(withResult(written, result)).toBe(written)
  })

  test('without a place for a result is refused', () => {
    expect(() => withResult('nothing', result)).toThrow('has no place for some')
  })
})
