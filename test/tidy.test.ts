import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { problems } from '../intake/parse/problems.ts'
import { upOptions } from '../cli/up/up-options.ts'
import { optionsHelp } from '../lib/config/options.ts'
import { handoverErrors } from '../intake/handover/errors.ts'
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

test('folders are made by the one that always returns', () => {
  const makers = sources.filter(path => !isBenchmark(path) && /mkdirSync|mkdir\(/.test(read(path)))
  expect(makers).toEqual(['lib/make-folder.ts'])
})

test('each mutant finds the place that it changes, once', () => {
  for (const { name, file, find } of mutants) expect(read(file).split(find).length - 1, name).toBe(1)
})

test('every error code is provoked by a test', () => {
  // Nothing outside can provoke them in a healthy program.
  const unprovokable = new Set(['fault'])
  const text = tests
    .filter(path => path !== 'test/tidy.test.ts')
    .map(read)
    .join('\n')
  const codes = [
    ...Object.keys(problems),
    ...Object.keys(queueErrors),
    ...Object.keys(handoverErrors),
    ...Object.keys(storeErrors),
  ]
  for (const code of codes) if (!unprovokable.has(code)) expect(text.includes(code), code).toBe(true)
})

describe('documents', () => {
  test('every error code is explained', () => {
    for (const code of Object.keys(problems)) expect(read('docs/http-api.md')).toContain(`\`${code}\``)
    for (const code of [
      ...Object.keys(queueErrors),
      ...Object.keys(handoverErrors),
      ...Object.keys(storeErrors),
    ])
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
      expect(read('docs/decisions/dependencies.md')).toContain(`\`${name}\``)
    }
  })

  test('the options in the README are those of the program', () => {
    expect(read('README.md')).toContain(optionsHelp(upOptions))
  })

  test('the changelog begins with the version of the package', () => {
    const { version } = JSON.parse(read('package.json'))
    expect(/^## (\S+)/m.exec(read('CHANGELOG.md'))?.[1]).toBe(version)
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

function foldersOf(paths: readonly string[]): string[] {
  return [...new Set(paths.map(path => dirname(path)))]
}
