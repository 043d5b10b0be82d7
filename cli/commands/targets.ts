import { randomInt } from 'node:crypto'
import { basename, join } from 'node:path'
import { exitCodes, UsageError } from '../../lib/errors.ts'
import { choiceOption, integerOption, textOption } from '../../lib/config/options.ts'
import { folderPaths, writeFolder } from '../../vegeta/folder.ts'
import { incrementUrl } from '../../vegeta/formats.ts'
import type { Plan } from '../../vegeta/targets.ts'
import { command } from '../command.ts'
import { optional } from '../optional.ts'

/** vegeta reads all targets into its memory, and a service holds as many keys by default. */
const targetCountMax = 1_000_000
/** Above this number, the HTTP format is written only on request: it has a file for each target. */
const bodyFilesMax = 100_000
const seedMax = 2 ** 32 - 1
/** The largest total in the database. */
const totalMax = 2n ** 63n - 1n
/** The rate of the seed project's heavier profile, unless there are fewer targets. */
const rateMax = 9_000
/**
 * Requests that vegeta has under way at once, and so its connections. Without a limit it opens thousands as
 * soon as the service or the machine stalls, which then fail; and after a failed request nobody can say
 * what the totals must be.
 */
const workersMax = 1_000

export const targetsFolderOption = textOption({
  fallback: 'vegeta/targets',
  placeholder: 'FOLDER',
  help: 'where the targets and their sums are',
})

export const targetsCommand = command({
  name: 'targets',
  parameters: ['COUNT', 'HOST'],
  summary: 'make random targets for vegeta, and the sums that must result',
  about:
    'HOST is host, host:port or http://host:port; a host alone stands for its port 3333.\n' +
    'The keys are new each time, unless a seed is given again: then their totals go on from where they are.',
  options: {
    folder: targetsFolderOption,
    format: choiceOption({
      choices: ['auto', 'both', 'json'],
      fallback: 'auto',
      help: `vegeta's HTTP and JSON formats, or JSON only; auto is both up to ${bodyFilesMax} targets`,
    }),
    keys: optional(
      integerOption({
        min: 1,
        max: targetCountMax,
        fallback: 1,
        placeholder: 'COUNT',
        help: 'distinct keys; as many as targets unless given',
      }),
    ),
    valueMax: integerOption({
      min: 1,
      max: 999_999_999_999_999,
      fallback: 10_000,
      placeholder: 'VALUE',
      help: 'largest value of a target; the smallest is its negative',
    }),
    seed: optional(
      integerOption({
        min: 0,
        max: seedMax,
        fallback: 0,
        placeholder: 'NUMBER',
        help: 'the same seed makes the same targets; a random one unless given',
      }),
    ),
  },
  async run({ values: { folder, format, keys, valueMax, seed }, positionals }, { print, isTerminal }) {
    const [targetCount, url] = readArguments(positionals)
    const plan = {
      seed: seed ?? randomInt(seedMax + 1),
      targetCount,
      keyCount: keys ?? targetCount,
      valueMax,
    }
    checkPlan(plan)
    const withHttp = format === 'both' || (format === 'auto' && targetCount <= bodyFilesMax)
    const onProgress = (count: number) => {
      if (isTerminal && count < targetCount) print(`${count} of ${targetCount} targets`)
    }
    writeFolder(folder, plan, url, { withHttp, onProgress })
    for (const line of whatNext(folder, plan, url, withHttp)) print(line)
    return exitCodes.done
  },
})

function readArguments([count, host]: readonly string[]): [targetCount: number, url: string] {
  if (count === undefined || host === undefined)
    throw new UsageError('piccolo targets needs a count and a host: piccolo targets 9000 localhost:3333')
  const targetCount = /^\d{1,15}$/.test(count) ? Number(count) : 0
  if (targetCount < 1 || targetCount > targetCountMax)
    throw new UsageError(`COUNT must be 1 to ${targetCountMax}, got ${count}`)
  const url = incrementUrl(host)
  if (url === null) throw new UsageError(`HOST must be host, host:port or http://host:port, got ${host}`)
  return [targetCount, url]
}

function checkPlan({ targetCount, keyCount, valueMax }: Plan): void {
  if (keyCount > targetCount)
    throw new UsageError(`--keys must be at most COUNT, which is ${targetCount}, got ${keyCount}`)
  const valueMaxMax = totalMax / BigInt(targetCount)
  if (BigInt(valueMax) > valueMaxMax)
    throw new UsageError(
      `--value-max must be at most ${valueMaxMax} with ${targetCount} targets, for every sum to fit ` +
        `into a total, got ${valueMax}`,
    )
}

/** Says what was written, with commands that can be pasted to use it. */
function whatNext(folder: string, plan: Plan, url: string, withHttp: boolean): string[] {
  const file = (path: string) => quote(join(folder, basename(path)))
  const { json, http } = folderPaths(folder)
  const [results, report] = [file('results.bin'), file('report.json')]
  const rate = Math.min(plan.targetCount, rateMax)
  const load = `-rate ${rate} -duration 10s -max-workers ${workersMax} -output ${results}`
  return [
    `${plan.targetCount} targets with ${plan.keyCount} keys for ${url}, seed ${plan.seed}, in ${folder}`,
    withHttp ? 'Attack by one of these two:' : 'Attack:',
    `  vegeta attack -format json -targets ${file(json)} ${load}`,
    ...(withHttp ? [`  vegeta attack -format http -targets ${file(http)} ${load}`] : []),
    'See how it went:',
    `  vegeta report ${results}`,
    'Compare the totals with the sums that must result (--database PATH, unless it is data/numbers.db):',
    `  vegeta report -type json -output ${report} ${results}`,
    `  ./piccolo check-sums --folder ${quote(folder)} --report ${report}`,
  ]
}

/** Quotes a text for a shell, unless it needs no quotes. */
function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
