import { sleep, systemClock } from '../../lib/clock.ts'
import { exitCodes, UsageError } from '../../lib/errors.ts'
import { integerOption, type Option } from '../../lib/config/options.ts'
import { openStoreReader } from '../../store/open.ts'
import { databaseOptions } from '../../lib/config/database-options.ts'
import type { StoreReader } from '../../store/store.ts'
import { requestCountOf } from '../../vegeta/report.ts'
import { type Attacks, type Difference, differences, type Expected, expectedSums } from '../../vegeta/sums.ts'
import { command } from '../command.ts'
import { optional } from '../optional.ts'
import { targetsFolderOption } from './targets.ts'

/** How long to leave the database alone between two looks. */
const pauseMs = 100
const differencesShownMax = 10

export const checkSumsCommand = command({
  name: 'check-sums',
  parameters: [],
  summary: 'compare the totals with the sums of the targets that vegeta sent',
  about:
    'What was sent is said by one of --report, --requests and --passes; of several attacks with the same\n' +
    'targets, all are given, as in --requests 90000,45000: each began at the first target. Exits with 1\n' +
    'if a key differs, or if requests failed, as vegeta does not tell which.',
  options: {
    ...databaseOptions,
    folder: targetsFolderOption,
    report: {
      placeholder: 'FILE[,FILE]',
      fallback: null,
      help: 'what was sent, from vegeta report -type json',
      expected: 'a file, or several with commas between them',
      parse: text => {
        const files = text.split(',')
        return files.includes('') ? undefined : files
      },
    } satisfies Option<string[]> as Option<string[] | null>,
    requests: {
      placeholder: 'COUNT[,COUNT]',
      fallback: null,
      help: 'what was sent, as a number of requests',
      expected: 'a number of requests, or several with commas between them',
      parse: text => (/^\d{1,12}(,\d{1,12})*$/.test(text) ? text.split(',').map(Number) : undefined),
    } satisfies Option<number[]> as Option<number[] | null>,
    passes: optional(
      integerOption({
        min: 1,
        max: 1_000_000,
        fallback: 1,
        placeholder: 'COUNT',
        help: 'what was sent, in whole passes over the targets',
      }),
    ),
    waitMs: integerOption({
      min: 0,
      max: 3_600_000,
      fallback: 5_000,
      placeholder: 'MS',
      help: 'how long the totals may take to become equal',
    }),
  },
  async run({ values }, { print }) {
    const expected = await expectedSums(values.folder, attacksOf(values))
    const reader = await openStoreReader(values.database)
    try {
      const found = await compare(expected, reader, values.waitMs)
      for (const line of verdict(expected, found)) print(line)
      return found.length === 0 ? exitCodes.done : exitCodes.failed
    } finally {
      await reader.close()
    }
  },
})

function attacksOf({
  report,
  requests,
  passes,
}: {
  report: string[] | null
  requests: number[] | null
  passes: number | null
}): Attacks {
  if ([report, requests, passes].filter(each => each !== null).length !== 1)
    throw new UsageError('say what vegeta sent by one of --report FILE, --requests COUNT and --passes COUNT')
  if (report !== null) return { requestCounts: report.map(requestCountOf) }
  return requests !== null ? { requestCounts: requests } : { passCount: passes! }
}

/** Looks at every key until all are equal, in one look, or the time is over. */
async function compare({ sums }: Expected, reader: StoreReader, waitMs: number): Promise<Difference[]> {
  const deadlineMs = systemClock.monotonicMs() + waitMs
  for (;;) {
    const totals = new Map<string, bigint>()
    for (const key of sums.keys()) totals.set(key, BigInt(await reader.total(key)))
    const found = differences(sums, key => totals.get(key)!)
    const leftMs = deadlineMs - systemClock.monotonicMs()
    if (found.length === 0 || leftMs <= 0) return found
    await sleep(systemClock, Math.min(pauseMs, leftMs))
  }
}

function verdict({ sums, requestCount }: Expected, found: readonly Difference[]): string[] {
  if (found.length === 0) return [`${sums.size} keys equal after ${requestCount} requests`]
  const lines = found
    .slice(0, differencesShownMax)
    .map(({ key, expected, is }) => `${JSON.stringify(key)}: expected ${expected}, is ${is}`)
  if (found.length > lines.length) lines.push('…')
  lines.push(`${found.length} of ${sums.size} keys differ after ${requestCount} requests`)
  if (found.length > sums.size / 2)
    lines.push('Is it another database, or were these targets sent at another time too?')
  return lines
}
