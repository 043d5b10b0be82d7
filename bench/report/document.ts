import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { resultChart } from './chart.ts'
import { resultTable } from './markdown.ts'
import type { Result } from './result.ts'

const begin = '<!-- Written by npm run bench -- --docs, from docs/benchmarks/*.json: do not edit -->'
const end = '<!-- end of what is written by npm run bench -->'

/**
 * Takes the newest results into docs/benchmarks, and writes the tables and charts of docs/benchmarks.md anew.
 * What people wrote around them stays. Answers the paths that were written.
 */
export function writeDocument(root: string, resultsFolder: string): string[] {
  const folder = join(root, 'docs/benchmarks')
  mkdirSync(folder, { recursive: true })
  for (const name of existsSync(resultsFolder) ? jsonNames(resultsFolder) : [])
    writeFileSync(join(folder, name), readFileSync(join(resultsFolder, name)))
  const results = readResults(folder)
  const written = ['docs/benchmarks.md']
  for (const result of results) {
    const path = `docs/benchmarks/${result.benchmark}.svg`
    writeFileSync(join(root, path), resultChart(result))
    written.push(path)
  }
  const document = join(root, 'docs/benchmarks.md')
  writeFileSync(document, withResults(readFileSync(document, 'utf8'), results))
  return written
}

export function readResults(folder: string): Result[] {
  return jsonNames(folder).map(name => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Result)
}

/** The document with its generated part replaced. Throws when it has no place for it. */
export function withResults(document: string, results: readonly Result[]): string {
  const start = document.indexOf(begin)
  const stop = document.indexOf(end)
  if (start === -1 || stop < start) throw new Error('docs/benchmarks.md has lost the place for results')
  const generated = `${begin}\n\n${results.map(section).join('\n')}\n`
  return document.slice(0, start) + generated + document.slice(stop)
}

function section(result: Result): string {
  const { benchmark, title, about, date, machine } = result
  const where = Object.entries(machine)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
  return `### ${title}

${about}

![${title}](benchmarks/${benchmark}.svg)

${resultTable(result)}

\`npm run bench -- ${benchmark}\`, ${date}: ${where}.
`
}

function jsonNames(folder: string): string[] {
  return readdirSync(folder)
    .filter(name => name.endsWith('.json'))
    .sort()
}
