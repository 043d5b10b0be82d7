import type { Point } from './result.ts'
import { readable } from './statistics.ts'
import { drawing, escaped, ourColour, theirColour } from './svg.ts'

const width = 760
const height = 340
const left = 80
const right = 160
const top = 50
const bottom = 40
/** Grid lines at least; a step is a round number. */
const gridLinesMin = 4
const stepFactors = [5, 2, 1]

/** Lines over a logarithmic x from the least to the largest, and a y from zero. */
export function lineChart(chart: {
  title: string
  unit: string
  points: readonly (Point & { y: number })[]
}): string {
  const { title, unit, points } = chart
  const xs = [...new Set(points.map(point => point.x))].sort((one, other) => one - other)
  const least = Math.log10(xs[0]!)
  const range = Math.log10(xs.at(-1)!) - least || 1
  const greatest = Math.max(...points.map(point => point.y), Number.MIN_VALUE)
  const step = roundStep(greatest)
  const largest = step * Math.ceil(greatest / step)
  const xOf = (x: number) => (left + ((Math.log10(x) - least) / range) * (width - left - right)).toFixed(1)
  const yOf = (y: number) => (height - bottom - (y / largest) * (height - top - bottom)).toFixed(1)

  const grid = Array.from({ length: Math.round(largest / step) + 1 }, (_, index) => {
    const y = step * index
    const label = small(left - 8, Number(yOf(y)) + 5, 'end', `${readable(y)} ${unit}`)
    const ends = `x1="${left}" y1="${yOf(y)}" x2="${width - right}" y2="${yOf(y)}"`
    return `  <line ${ends} stroke="#e2e8f0"/>\n${label}`
  })
  const ticks = xs.map(x => small(Number(xOf(x)), height - bottom + 20, 'middle', x.toLocaleString('en-US')))
  const lines = [...new Set(points.map(point => point.line))].map(line => {
    const own = points.filter(point => point.line === line).sort((one, other) => one.x - other.x)
    const last = own.at(-1)!
    const colour = line.startsWith('piccolo') ? ourColour : theirColour
    const path = own.map(point => `${xOf(point.x)},${yOf(point.y)}`).join(' ')
    const label = small(Number(xOf(last.x)) + 8, Number(yOf(last.y)), 'start', line)
    return `  <polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2.5"/>\n${label}`
  })
  return drawing(title, width, height, [...grid, ...ticks, ...lines])
}

/** The largest of 1, 2, 5, 10, 20, 50, … that is `gridLinesMin` times in `greatest`. */
function roundStep(greatest: number): number {
  const atMost = greatest / gridLinesMin
  const power = 10 ** Math.floor(Math.log10(atMost))
  return power * stepFactors.find(factor => factor * power <= atMost)!
}

function small(x: number, y: number, anchor: 'start' | 'middle' | 'end', text: string): string {
  const at = `x="${x.toFixed(1)}" y="${y.toFixed(1)}"`
  return `  <text ${at} text-anchor="${anchor}" font-size="12">${escaped(text)}</text>`
}
