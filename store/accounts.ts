import type { ReceivedBatch } from '../batch/batch.ts'
import { isWithin } from '../batch/sequence-ranges.ts'
import { countedRanges, type GivenUpRange } from './given-up.ts'
import type { Progress } from './sequencing.ts'

/** The ledger of one producer, in increments: `sealed` is the sum of the others. */
export interface ProducerAccount extends Progress {
  readonly applied: number
  readonly duplicate: number
  readonly lost: number
  /** The sum of the values of all applied increments: a decimal of any size. */
  readonly sum: string
}

/** A batch that is being applied: what of it is added to totals, and what is not. */
export interface Counted {
  readonly batch: ReceivedBatch
  readonly applied: number
  readonly duplicate: number
  /** The sum of the values that are added. */
  readonly sum: bigint
}

export interface Entered<Account> {
  readonly account: Account
  /** Increments that are now declared lost. */
  readonly lost: number
  /** Increments that had been declared lost, and arrived. */
  readonly recovered: number
  /** A batch in order is among them: whoever was given up before it is counted in `lost`. */
  readonly hasAdvanced: boolean
}

/**
 * Enters the batches of one transaction, in the order in which they are applied, into the accounts of their
 * producers. `givenUp` is as it was before. Returns those that changed.
 */
export function enterBatches<Account extends ProducerAccount>(
  accounts: ReadonlyMap<string, Account>,
  givenUp: ReadonlyMap<string, readonly GivenUpRange[]>,
  batches: readonly Counted[],
): Map<string, Entered<Account>> {
  const all = new Map<string, Entered<Account>>()
  for (const counted of batches) {
    const { producer } = counted.batch
    const start = { account: accounts.get(producer)!, lost: 0, recovered: 0, hasAdvanced: false }
    const before = all.get(producer) ?? start
    const ranges = givenUp.get(producer) ?? []
    all.set(producer, enter(before, counted, before.hasAdvanced ? countedRanges(ranges) : ranges))
  }
  return all
}

/**
 * The next batch in order says by what it has sealed how much was lost before it. One at or below the
 * watermark had been given up: it leaves `lost`, or, while nobody has said how much was lost with it, adds to
 * what is known to be sealed.
 */
function enter<Account extends ProducerAccount>(
  before: Entered<Account>,
  { batch, applied, duplicate, sum }: Counted,
  givenUp: readonly GivenUpRange[],
): Entered<Account> {
  const { account } = before
  const { increments, sequence } = batch
  const isNext = sequence > account.watermark
  const ranges = givenUp.filter(({ isCounted }) => isCounted)
  const lost = isNext ? Math.max(0, batch.sealed - increments - account.sealed) : 0
  const recovered = !isNext && isWithin(ranges, sequence) ? Math.min(increments, account.lost) : 0
  return {
    account: {
      ...account,
      watermark: isNext ? sequence : account.watermark,
      sealed: isNext ? batch.sealed : account.sealed + increments - recovered,
      applied: account.applied + applied,
      duplicate: account.duplicate + duplicate,
      lost: account.lost + lost - recovered,
      sum: String(BigInt(account.sum) + sum),
    },
    lost: before.lost + lost,
    recovered: before.recovered + recovered,
    hasAdvanced: before.hasAdvanced || isNext,
  }
}
