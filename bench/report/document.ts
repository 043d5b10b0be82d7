import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { resultChart } from './chart.ts'
import { resultTable } from './markdown.ts'
import type { Result } from './result.ts'

/**
 * Writes the results of the folder into their places in docs/benchmarks.md, and their charts beside it. What
 * has no result there stays. Returns the paths that were written.
 */
export function writeDocument(root: string, resultsFolder: string): string[] {
  const path = 'docs/benchmarks.md'
  const results = readResults(resultsFolder)
  const text = results.reduce(withResult, readFileSync(join(root, path), 'utf8'))
  writeFileSync(join(root, path), text)
  mkdirSync(join(root, 'docs/benchmarks'), { recursive: true })
  const charts = results.filter(({ isCharted }) => isCharted)
  for (const result of charts) writeFileSync(join(root, chartPath(result)), resultChart(result))
  return [path, ...charts.map(chartPath)]
}

function readResults(folder: string): Result[] {
  const names = existsSync(folder) ? readdirSync(folder).filter(name => name.endsWith('.json')) : []
  return names.map(name => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Result)
}

/** The document with the section of this result replaced. Throws when it has no place for it. */
export function withResult(document: string, result: Result): string {
  const begin = `<!-- begin ${result.benchmark}, written by npm run bench -- --docs -->\n`
  const end = `<!-- end ${result.benchmark} -->`
  const [before, rest] = document.split(begin)
  const after = rest?.split(end)[1]
  if (after === undefined) throw new Error(`docs/benchmarks.md has no place for ${result.benchmark}`)
  return `${before}${begin}\n${section(result)}\n${end}${after}`
}

function section(result: Result): string {
  const { benchmark, title, about, date, machine, isCharted } = result
  const where = Object.entries(machine)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
  const chart = isCharted ? `![${title}](benchmarks/${benchmark}.svg)\n\n` : ''
  return `### ${title}

${about}

${chart}${resultTable(result)}

\`npm run bench -- ${benchmark}\`, ${date}: ${where}.
`
}

function chartPath({ benchmark }: Result): string {
  return `docs/benchmarks/${benchmark}.svg`
}
