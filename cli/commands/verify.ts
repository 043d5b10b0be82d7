import { sleep, systemClock } from '../../lib/clock.ts'
import { exitCodes, type ExitCode } from '../../lib/errors.ts'
import { switchOption } from '../../lib/config/options.ts'
import { batchName, type QueuedBatch } from '../../batch/batch.ts'
import type { Place } from '../../intake/handover/handover-files.ts'
import { queueOptions, stateOptions } from '../../queue/options.ts'
import { type Ledger, LedgerReader, type ProducerLedger } from '../../store/sqlite/ledger.ts'
import { databaseOptions } from '../../lib/config/database-options.ts'
import { command, type CommandContext } from '../command.ts'
import { leftBehind, type LeftBehind, queuedInRedis, queuedInService } from '../up/queued-batches.ts'

const watchIntervalMs = 2_000
const producersShownMax = 20

export const verifyCommand = command({
  name: 'verify',
  parameters: [],
  summary: 'check the totals against the ledger, and the database file',
  about:
    'Reads beside the running service. Exits with 1, and says by how much, if anything does not add up:\n' +
    'the sum of all totals and what was applied, what each producer sealed and what became of it, or the\n' +
    'file itself. What waits in the queue is shown beside it; that of Redis with --redis.',
  options: {
    ...databaseOptions,
    ...stateOptions,
    ...queueOptions,
    watch: switchOption({ help: 'repeat it every two seconds, until it is wrong or interrupted' }),
  },
  async run({ values }, context) {
    const { print } = context
    // Others must not read a password among the arguments.
    process.title = 'piccolo verify'
    for (;;) {
      const exitCode = await verify(values, context)
      if (!values.watch || exitCode !== exitCodes.done) return exitCode
      await sleep(systemClock, watchIntervalMs)
      print('')
    }
  },
})

async function verify(
  options: Place & { readonly redis: string | null },
  { environment, print }: CommandContext,
): Promise<ExitCode> {
  const reader = new LedgerReader(options.database)
  try {
    // The order is that of the batches' way: a batch that moves on in between is seen twice, and known by its
    // sequence.
    const left = await leftBehind(options, reader.storeId())
    const { redis } = options
    const queued = await (redis === null ? queuedInService(options, environment) : queuedInRedis(redis))
    const ledger = reader.read()
    for (const line of describe(ledger, new Pending(ledger, queued, left))) print(line)
    const problems = [
      ...imbalances(ledger),
      ...reader.damages().map(damage => `the file is damaged: ${damage}`),
    ]
    for (const problem of problems) print(`WRONG: ${problem}`)
    if (problems.length === 0) print('everything adds up, and the file is sound')
    return problems.length === 0 ? exitCodes.done : exitCodes.failed
  } finally {
    reader.close()
  }
}

/** Returns a sentence for each sum that does not add up. */
function imbalances({ producers, sumOfTotals, sumApplied, sumAdjusted }: Ledger): string[] {
  const problems: string[] = []
  const due = sumApplied + sumAdjusted
  if (sumOfTotals !== due)
    problems.push(`the totals sum up to ${sumOfTotals}, applied were ${due}: ${signed(sumOfTotals - due)}`)
  for (const { producer, sealed, applied, duplicate, lost } of producers) {
    const accounted = applied + duplicate + lost
    if (sealed !== accounted)
      problems.push(`producer ${producer} sealed ${sealed} increments, accounted for are ${accounted}`)
  }
  return problems
}

/** Batches that are not in the store yet, each once. */
class Pending {
  readonly #watermarks: ReadonlyMap<string, number>
  /** Null when there was no queue to ask. */
  readonly #queued: readonly QueuedBatch[] | null
  readonly #left: readonly QueuedBatch[]
  readonly #others: readonly string[]

  constructor(ledger: Ledger, queued: readonly QueuedBatch[] | null, left: LeftBehind) {
    this.#watermarks = new Map(ledger.producers.map(({ producer, watermark }) => [producer, watermark]))
    this.#queued = queued === null ? null : this.#pending(queued)
    const known = new Set(this.#queued?.map(batchName))
    this.#left = this.#pending(left.batches).filter(batch => !known.has(batchName(batch)))
    this.#others = left.others
  }

  /** Words for a row of the producer, or of all. */
  queued(producer?: string): string[] {
    return this.#queued === null ? [] : [`queued ${incrementsOf(this.#queued, producer)}`]
  }

  /** The producers of what is queued. */
  producers(): string[] {
    return [...new Set(this.#queued?.map(({ producer }) => producer))]
  }

  notes(): string[] {
    const notes: string[] = []
    if (this.#left.length > 0)
      notes.push(`${incrementsOf(this.#left)} increments are left in hand-over files for the next start`)
    notes.push(...this.#others)
    if (this.#queued === null)
      notes.push(
        'no piccolo up with a queue of its own has this database; for what waits in Redis, give --redis',
      )
    return notes
  }

  #pending(batches: readonly QueuedBatch[]): QueuedBatch[] {
    const byName = new Map(batches.map(batch => [batchName(batch), batch]))
    return [...byName.values()].filter(
      ({ producer, sequence }) => sequence > (this.#watermarks.get(producer) ?? 0),
    )
  }
}

function incrementsOf(batches: readonly QueuedBatch[], producer?: string): number {
  return batches
    .filter(batch => producer === undefined || batch.producer === producer)
    .reduce((sum, { increments }) => sum + increments, 0)
}

const columns = ['sealed', 'applied', 'duplicate', 'lost', 'parked'] as const
type Row = Pick<ProducerLedger, (typeof columns)[number]>
const nothing: Row = { sealed: 0, applied: 0, duplicate: 0, lost: 0, parked: 0 }

function describe(ledger: Ledger, pending: Pending): string[] {
  const row = (of: Row, producer?: string) =>
    [...columns.map(column => `${column} ${of[column]}`), ...pending.queued(producer)].join(', ')
  const known = new Set(ledger.producers.map(({ producer }) => producer))
  const unknown = pending.producers().filter(producer => !known.has(producer))
  const producers = [...ledger.producers, ...unknown.map(producer => ({ producer, ...nothing }))]
  const shown = producers.slice(-producersShownMax)
  const omitted = producers.length - shown.length
  const all = Object.fromEntries(
    columns.map(column => [column, ledger.producers.reduce((sum, each) => sum + each[column], 0)]),
  ) as unknown as Row
  return [
    ...(omitted > 0 ? [`${omitted} earlier producers`] : []),
    ...shown.map(each => `${each.producer}: ${row(each, each.producer)}`),
    `all producers, in increments: ${row(all)}`,
    ...pending.notes(),
    `${ledger.keyCount} totals, sum ${ledger.sumOfTotals}; applied ${ledger.sumApplied}, adjusted ${ledger.sumAdjusted}`,
    `${ledger.setAsideCount} sums set aside, ${ledger.rejectedCount} elements rejected`,
  ]
}

function signed(difference: bigint): string {
  return difference > 0n ? `+${difference}` : String(difference)
}
