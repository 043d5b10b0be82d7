import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { leaveNothingBehind } from '../test/kit/leave-nothing-behind.ts'
import { errorText, UsageError } from '../lib/errors.ts'
import { systemClock } from '../lib/clock.ts'
import { optionsHelp, type OptionValues, parseOptions } from '../lib/config/options.ts'
import { type Benchmark, benchmarks } from './benchmarks.ts'
import { compare } from './comparison.ts'
import { cores, describeMachine } from './machine.ts'
import { benchOptions } from './options.ts'
import { root } from './processes.ts'
import { type Probe, probes } from './probes/list.ts'
import { writeDocument } from './report/document.ts'
import { resultTable } from './report/markdown.ts'
import type { Result } from './report/result.ts'
import { searchIn } from './peers/requirements.ts'

const resultsFolder = join(root, 'bench/results')
const cacheFolder = join(root, '.node/bench')

const say = (line: string) => console.error(line)
searchIn(process.env.PATH ?? '')
leaveNothingBehind()
try {
  await main(process.argv.slice(2))
} catch (error) {
  say(error instanceof UsageError ? `bench: ${error.message}` : ((error as Error).stack ?? errorText(error)))
  process.exitCode = error instanceof UsageError ? error.exitCode : 1
}

async function main(args: readonly string[]): Promise<void> {
  if (args.includes('--help')) return console.log(help())
  const probe = probes.find(({ name }) => name === args[0])
  if (probe !== undefined) return runProbe(probe, args.slice(1))
  const { values, positionals } = parseOptions(benchOptions, args, {})
  // To write the document is no reason to measure everything again.
  const selected = positionals.length === 0 && values.docs ? [] : select(positionals)
  for (const benchmark of selected) await run(benchmark, values)
  if (values.docs) say(`written: ${writeDocument(root, resultsFolder).join(', ')}`)
}

/** Runs a probe with its own output, and ends with its exit code. */
function runProbe({ name, nodeOptions }: Probe, args: readonly string[]): void {
  const program = join(root, `bench/probes/${name}.ts`)
  const options = ['--disable-warning=ExperimentalWarning', ...nodeOptions]
  const { status } = spawnSync(process.execPath, [...options, program, ...args], { stdio: 'inherit' })
  process.exitCode = status ?? 1
}

async function run(benchmark: Benchmark, options: OptionValues<typeof benchOptions>): Promise<void> {
  const { rounds, seconds } = options
  const pinned = cores()
  const machine = await describeMachine(pinned)
  say(`${benchmark.name}: ${benchmark.title}`)
  say(
    `  ${Object.entries(machine)
      .map(entry => entry.join(' '))
      .join(', ')}`,
  )
  const folder = mkdtempSync(join(tmpdir(), 'piccolo-bench-'))
  mkdirSync(cacheFolder, { recursive: true })
  try {
    const place = { folder, cache: cacheFolder, ...pinned }
    const outcome = await compare(benchmark.candidates, {
      rounds,
      seconds,
      subject: benchmark.subject,
      place,
      say,
    })
    if (outcome.entries.length === 0) return say('  nothing could be measured')
    const { name, title, about, subject, isCharted = false } = benchmark
    const date = new Date(systemClock.nowMs()).toISOString().slice(0, 10)
    const result: Result = {
      benchmark: name,
      title,
      about,
      subject,
      isCharted,
      date,
      rounds,
      seconds,
      machine,
      ...outcome,
    }
    mkdirSync(resultsFolder, { recursive: true })
    const path = join(resultsFolder, `${name}.json`)
    writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`)
    console.log(`\n${title}\n\n${resultTable(result)}\n`)
    say(`  kept in ${path}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function select(names: readonly string[]): readonly Benchmark[] {
  if (names.length === 0) return benchmarks.filter(({ isDefault }) => isDefault)
  return names.map(name => {
    const found = benchmarks.find(benchmark => benchmark.name === name)
    if (found === undefined) throw new UsageError(`there is no benchmark ${name}; --help lists them`)
    return found
  })
}

function help(): string {
  const width = Math.max(...benchmarks.map(({ name }) => name.length))
  const lines = benchmarks.map(
    ({ name, title, isDefault }) => `${isDefault ? '*' : ' '} ${name.padEnd(width)}  ${title}`,
  )
  return `Usage: npm run bench -- [NAME ...] [--option VALUE ...]

${lines.join('\n')}

Without a NAME, those with a star. Results go to bench/results/NAME.json.

${probes.map(({ name, parameters, title }) => `  ${`${name} ${parameters}`.padEnd(52)}${title}`).join('\n')}

Each of these is a program with arguments of its own, and prints what it finds.

${optionsHelp(benchOptions)}`
}
