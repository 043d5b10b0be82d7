import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { problems } from '../apps/web/problems.ts'
import { resultChart } from '../bench/report/chart.ts'
import { readResults, withResults } from '../bench/report/document.ts'
import { upOptions } from '../cli/up-options.ts'
import { optionsHelp } from '../lib/options.ts'
import { queueErrors } from '../queue/errors.ts'
import { storeErrors } from '../store/errors.ts'
import { mutants } from './mutants/list.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const files = listFiles()
const isTest = (path: string) => path.startsWith('test/') || path.endsWith('.test.ts')
const sources = files.filter(path => path.endsWith('.ts') && !isTest(path) && path !== 'vitest.config.ts')
/** Programs for developers: they measure time and print what they find. */
const isBenchmark = (path: string) => path.startsWith('bench/')
const tests = files.filter(path => path.endsWith('.ts') && isTest(path))

const fileLinesMax = 250
const functionLinesMax = 70
const columnsMax = 110

/** What each part may import of the others, in the order in which the data flows. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  queue: ['lib'],
  store: ['lib', 'queue'],
  'apps/web': ['lib', 'queue', 'store'],
  consumer: ['lib', 'queue', 'store'],
  vegeta: ['lib', 'queue', 'store'],
  'apps/express': ['lib', 'queue', 'store', 'apps/web'],
  bench: ['lib', 'queue', 'store', 'apps/web', 'apps/express', 'consumer', 'vegeta', 'cli', 'test'],
  cli: ['lib', 'queue', 'store', 'apps/web', 'consumer', 'vegeta'],
}

/** Only its owner imports a driver; types are free. */
const driverOwners: Readonly<Record<string, readonly string[]>> = {
  'uWebSockets.js': ['apps/web/server.ts', 'bench/servers/bare.ts', 'bench/servers/stream-bare.ts'],
  ioredis: ['queue/redis-connection.ts'],
  'better-sqlite3': ['store/sqlite.ts', 'bench/probes/bare-loop.ts', 'bench/servers/form-totals.ts'],
  pino: ['lib/log.ts'],
  'pino-pretty': ['lib/log.ts'],
  'prom-client': ['lib/metrics.ts'],
}

describe('imports', () => {
  test('go with the flow of the data, never against it and never sideways', () => {
    for (const path of sources) {
      const part = partOf(path)
      const allowed = mayImport[part]
      expect(allowed, `${path} is in a part that is not listed`).toBeDefined()
      for (const imported of importsOf(path).filter(({ to }) => to.startsWith('.'))) {
        const target = normalize(join(dirname(path), imported.to))
        const targetPart = partOf(target)
        expect([part, ...allowed!], `${path} imports ${target}`).toContain(targetPart)
      }
    }
  })

  test('make no cycle', () => {
    const done = new Set<string>()
    const visit = (path: string, way: readonly string[]): void => {
      expect(way, [...way, path].join(' → ')).not.toContain(path)
      if (done.has(path)) return
      for (const { to, isType } of importsOf(path))
        if (to.startsWith('.') && to.endsWith('.ts') && !isType)
          visit(normalize(join(dirname(path), to)), [...way, path])
      done.add(path)
    }
    for (const path of sources) visit(path, [])
  })

  test('of a driver stand in its owner alone', () => {
    for (const path of sources)
      for (const { to, isType } of importsOf(path))
        if (!isType && driverOwners[to]) expect(driverOwners[to], `${path} imports ${to}`).toContain(path)
    for (const [driver, owners] of Object.entries(driverOwners))
      for (const owner of owners) expect(importsOf(owner).map(({ to }) => to)).toContain(driver)
  })
})

test('folders are made by the one that always returns', () => {
  const makers = sources.filter(path => /mkdirSync|mkdir\(/.test(read(path)))
  expect(makers.filter(path => !/\.test\.ts$|^test\/|^bench\//.test(path))).toEqual(['lib/make-folder.ts'])
})

test('each mutant finds the place that it changes, once', () => {
  for (const { name, file, find } of mutants) expect(read(file).split(find).length - 1, name).toBe(1)
})

describe('sources', () => {
  test.each([
    ['Date.now( and performance.now(', /\b(Date|performance)\.now\(/, ['lib/clock.ts']],
    ['setTimeout and setInterval', /\bset(Timeout|Interval)\(/, ['lib/clock.ts']],
    ['console', /\bconsole\./, ['cli/main.ts']],
    ['process.exit', /\bprocess\.exit\b/, ['cli/main.ts']],
    ['process.argv and process.env', /\bprocess\.(argv|env)\b/, ['cli/main.ts']],
  ])('use %s in one place', (_, pattern, places) => {
    const users = sources.filter(path => !isBenchmark(path) && pattern.test(withoutComments(read(path))))
    expect(users).toEqual(places)
  })

  test('are short: files, functions and lines', () => {
    for (const path of [...sources, ...tests]) {
      const lines = read(path).trimEnd().split('\n')
      if (!isTest(path)) expect(lines.length, path).toBeLessThanOrEqual(fileLinesMax)
      for (const [index, line] of lines.entries())
        expect(withoutTexts(line).length, `${path}:${index + 1}`).toBeLessThanOrEqual(columnsMax)
      if (isTest(path)) continue
      for (const { line, length } of functionsOf(lines))
        expect(length, `the function at ${path}:${line}`).toBeLessThanOrEqual(functionLinesMax)
    }
  })

  test('have names in kebab-case that say something', () => {
    for (const path of [...sources, ...tests]) {
      expect(basename(path), path).toMatch(
        /^[a-z0-9]+(-[a-z0-9]+)*(\.redis|\.browser|\.strace)?(\.test|\.d)?\.ts$/,
      )
      expect(path).not.toMatch(/\b(utils?|helpers?|common|manager|data|info|misc)\b/)
    }
  })
})

describe('tests', () => {
  test('none is singled out', () => {
    for (const path of tests) expect(read(path), path).not.toMatch(/\b(test|describe|it)\.only\(/)
  })

  test('every error code is provoked by one', () => {
    // Nothing outside can provoke them in a healthy program.
    const unprovokable = new Set(['fault'])
    const text = tests
      .filter(path => path !== 'test/tidy.test.ts')
      .map(read)
      .join('\n')
    const codes = [...Object.keys(problems), ...Object.keys(queueErrors), ...Object.keys(storeErrors)]
    for (const code of codes) if (!unprovokable.has(code)) expect(text.includes(code), code).toBe(true)
  })
})

describe('documents', () => {
  test('every error code is explained', () => {
    for (const code of Object.keys(problems)) expect(read('docs/http-api.md')).toContain(`\`${code}\``)
    for (const code of [...Object.keys(queueErrors), ...Object.keys(storeErrors)])
      expect(read('docs/operations.md')).toContain(`\`${code}\``)
  })

  test('every metric is explained', () => {
    const counted = sources.filter(path => !isBenchmark(path))
    const names = counted.flatMap(path => read(path).match(/\bpiccolo_[a-z_]+\b/g) ?? [])
    expect(names.length).toBeGreaterThan(10)
    for (const name of names) expect(read('docs/operations.md')).toContain(`\`${name}\``)
  })

  test('every dependency is accounted for', () => {
    const packages = ['package.json', 'apps/express/package.json', 'bench/package.json']
    const all = packages.flatMap(path => {
      const { dependencies, devDependencies } = JSON.parse(read(path))
      return Object.entries({ ...dependencies, ...devDependencies })
    })
    for (const [name, version] of all) {
      expect(version, name).toMatch(/^(npm:@uwsjs\/core@)?\d+\.\d+\.\d+$/)
      expect(read('docs/decisions.md')).toContain(`\`${name}\``)
    }
  })

  test('the options in the README are those of the program', () => {
    expect(read('README.md')).toContain(optionsHelp(upOptions))
  })

  test('every table and chart of the benchmarks is that of a kept result', () => {
    const results = readResults(join(root, 'docs/benchmarks'))
    expect(results.length).toBeGreaterThan(0)
    expect(withResults(read('docs/benchmarks.md'), results)).toBe(read('docs/benchmarks.md'))
    for (const result of results)
      expect(read(`docs/benchmarks/${result.benchmark}.svg`)).toBe(resultChart(result))
  })

  test('every file that a document points to is there', () => {
    for (const path of files.filter(each => each.endsWith('.md'))) {
      for (const [, target] of read(path).matchAll(/\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)/g))
        expect(files.concat(foldersOf(files)), `${path} points to it`).toContain(
          normalize(join(dirname(path), target!)).replace(/\/$/, ''),
        )
    }
  })
})

/**
 * Tracked files and those that are neither tracked nor ignored; without git, in a copy, everything of ours.
 */
function listFiles(): string[] {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard']
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim().split('\n')
}

function partOf(path: string): string {
  return path.startsWith('apps/') ? path.split('/').slice(0, 2).join('/') : path.split('/')[0]!
}

function foldersOf(paths: readonly string[]): string[] {
  return [...new Set(paths.map(path => dirname(path)))]
}

function importsOf(path: string): { to: string; isType: boolean }[] {
  const text = read(path)
  const statics = text.matchAll(/^(?:import|export)\b(\s+type\b)?[^'"]*?from\s+'([^']+)'/gm)
  const dynamics = text.matchAll(/\bimport\('([^']+)'\)/g)
  return [
    ...[...statics].map(match => ({ to: match[2]!, isType: match[1] !== undefined })),
    ...[...dynamics].map(match => ({ to: match[1]!, isType: false })),
  ]
}

/** The formatter cannot break a text, and a long title is better than a clipped one. */
function withoutTexts(line: string): string {
  return line.replace(/(['"`]).{40,}\1/, '')
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')
}

/**
 * By indentation, which the formatter guarantees: from a line that opens a function, or ends a signature of
 * several lines, to the one that closes it.
 */
function functionsOf(lines: readonly string[]): { line: number; length: number }[] {
  const signature =
    /^(\s*)(?:export )?(?:static |override )?(?:async )?(?:function\b.*|[#*]?\w+\(.*|\).*) \{$/
  const statement = /^\s*(if|for|while|switch|describe|test)\b/
  return lines.flatMap((line, index) => {
    const indentation = signature.exec(line)?.[1]
    if (indentation === undefined || statement.test(line)) return []
    const closing = new RegExp(`^${indentation}\\}[,)]*$`)
    const end = lines.findIndex((each, at) => at > index && closing.test(each))
    return end === -1 ? [] : [{ line: index + 1, length: end - index + 1 }]
  })
}
