import { sleep, systemClock } from '../lib/clock.ts'
import { exitCodes, type ExitCode } from '../lib/errors.ts'
import { createLog } from '../lib/log.ts'
import { switchOption } from '../lib/options.ts'
import { decodeBatch } from '../queue/batch.ts'
import { queueOptions } from '../queue/options.ts'
import { type Ledger, LedgerReader, type ProducerLedger } from '../store/ledger.ts'
import { storeOptions } from '../store/options.ts'
import { command } from './command.ts'

const watchIntervalMs = 2_000
const pageElementCount = 64
const producersShownMax = 20

export const verifyCommand = command({
  name: 'verify',
  parameters: [],
  summary: 'check the totals against the ledger, and the database file',
  about:
    'Reads beside the running service. Exits with 1, and says by how much, if anything does not add up:\n' +
    'the sum of all totals and what was applied, what each producer sealed and what became of it, or the\n' +
    'file itself. With --redis, it counts what waits in the queue, too.',
  options: {
    ...storeOptions,
    ...queueOptions,
    watch: switchOption({ help: 'repeat it every two seconds, until it is wrong or interrupted' }),
  },
  async run({ values }, { print }) {
    for (;;) {
      const exitCode = await verify(values.database, values.redis, print)
      if (!values.watch || exitCode !== exitCodes.done) return exitCode
      await sleep(systemClock, watchIntervalMs)
      print('')
    }
  },
})

async function verify(
  database: string,
  redis: string | null,
  print: (line: string) => void,
): Promise<ExitCode> {
  const reader = new LedgerReader(database)
  try {
    // The queue first: what is committed in between is seen by its watermark, and is not counted twice.
    const queued = redis === null ? null : await queuedBatches(redis)
    const ledger = reader.read()
    for (const line of describe(ledger, queued)) print(line)
    const faults = [
      ...imbalances(ledger),
      ...reader.damages().map(damage => `the file is damaged: ${damage}`),
    ]
    for (const fault of faults) print(`WRONG: ${fault}`)
    if (faults.length === 0) print('everything adds up, and the file is sound')
    return faults.length === 0 ? exitCodes.done : exitCodes.failed
  } finally {
    reader.close()
  }
}

/** What does not add up, in words. */
function imbalances({ producers, sumOfTotals, sumApplied, sumAdjusted }: Ledger): string[] {
  const faults: string[] = []
  const due = sumApplied + sumAdjusted
  if (sumOfTotals !== due)
    faults.push(`the totals sum up to ${sumOfTotals}, applied were ${due}: ${signed(sumOfTotals - due)}`)
  for (const { producer, sealed, applied, duplicate, lost } of producers) {
    const accounted = applied + duplicate + lost
    if (sealed !== accounted)
      faults.push(`producer ${producer} sealed ${sealed} increments, accounted for are ${accounted}`)
  }
  return faults
}

interface Queued {
  readonly producer: string
  readonly sequence: number
  readonly increments: number
}

function describe(ledger: Ledger, queued: readonly Queued[] | null): string[] {
  const watermarks = new Map(ledger.producers.map(({ producer, watermark }) => [producer, watermark]))
  const waiting = queued?.filter(({ producer, sequence }) => sequence > (watermarks.get(producer) ?? 0)) ?? []
  const pendingOf = (producer?: string) =>
    waiting
      .filter(each => producer === undefined || each.producer === producer)
      .reduce((sum, { increments }) => sum + increments, 0)
  const columns = ['sealed', 'applied', 'duplicate', 'lost', 'parked'] as const
  const row = (of: Pick<ProducerLedger, (typeof columns)[number]>, pending: number) =>
    [
      ...columns.map(column => `${column} ${of[column]}`),
      ...(queued === null ? [] : [`queued ${pending}`]),
    ].join(', ')
  const shown = ledger.producers.slice(-producersShownMax)
  const omitted = ledger.producers.length - shown.length
  const all = Object.fromEntries(
    columns.map(column => [column, ledger.producers.reduce((sum, each) => sum + each[column], 0)]),
  ) as Record<(typeof columns)[number], number>
  return [
    ...(omitted > 0 ? [`${omitted} earlier producers`] : []),
    ...shown.map(each => `${each.producer}: ${row(each, pendingOf(each.producer))}`),
    `all producers, in increments: ${row(all, pendingOf())}`,
    `${ledger.keyCount} totals, sum ${ledger.sumOfTotals}; applied ${ledger.sumApplied}, adjusted ${ledger.sumAdjusted}`,
    `${ledger.setAsideCount} sums set aside, ${ledger.rejectedCount} elements rejected`,
  ]
}

async function queuedBatches(url: string): Promise<Queued[]> {
  const { RedisQueue } = await import('../queue/redis.ts')
  const log = createLog({ level: 'silent', format: 'json', process: 'verify', isTerminal: false })
  const queue = new RedisQueue({ url, shardIndex: 0, clock: systemClock, log })
  try {
    await queue.connect()
    const queued: Queued[] = []
    for (let start = 0; ; start += pageElementCount) {
      const elements = await queue.page(start, pageElementCount)
      for (const element of elements) queued.push(...batchOf(element))
      if (elements.length < pageElementCount) return queued
    }
  } finally {
    await queue.close()
  }
}

/** None for an element that is no batch: the consumer will reject it. */
function batchOf(element: string): Queued[] {
  try {
    return [decodeBatch(element)]
  } catch {
    return []
  }
}

function signed(difference: bigint): string {
  return difference > 0n ? `+${difference}` : String(difference)
}
