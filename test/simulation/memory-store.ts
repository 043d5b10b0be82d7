import type { Batch, ReceivedBatch } from '../../batch/batch.ts'
import type { BatchOutcomes } from '../../batch/outcomes.ts'
import type { Publication } from '../../queue/queue.ts'
import { decideKeyed, type KnownKey, recallKeyed } from '../../store/sqlite/idempotency-keys.ts'
import { type Counted, enterBatches, type ProducerAccount } from '../../store/accounts.ts'
import { countedRanges, type GivenUpRange } from '../../store/given-up.ts'
import { sequenceBatches } from '../../store/sequencing.ts'

const nothing: ProducerAccount = { watermark: 0, sealed: 0, applied: 0, duplicate: 0, lost: 0, sum: '0' }

/**
 * A store in memory, whose every method is one transaction: what each batch does is decided by the code of
 * production, and only the tables are replaced.
 */
export class MemoryStore {
  /** How often each key was counted. */
  readonly counts = new Map<string, number>()
  readonly parked = new Map<string, ReceivedBatch>()
  readonly givenUp = new Map<string, readonly GivenUpRange[]>()
  readonly accounts = new Map<string, ProducerAccount>()
  readonly #keys = new Map<string, KnownKey>()

  apply(batches: readonly ReceivedBatch[], presumedDead: ReadonlySet<string>): Publication {
    for (const { producer } of [...batches, ...this.parked.values()])
      if (!this.accounts.has(producer)) this.accounts.set(producer, nothing)
    const isRepeated = ({ producer, sequence, keyed }: Batch) =>
      keyed.length > 0 && sequence <= this.accounts.get(producer)!.watermark
    const sequenced = sequenceBatches({
      batches,
      progress: this.accounts,
      givenUp: this.givenUp,
      parked: [...this.parked.values()],
      loadParked: id => this.parked.get(nameOf(id))!,
      presumedDead,
    })
    const repeated = batches.filter(batch => isRepeated(batch) && !sequenced.apply.includes(batch))
    for (const batch of sequenced.park) this.parked.set(nameOf(batch), batch)
    for (const id of sequenced.unpark) this.parked.delete(nameOf(id))
    const outcomes = repeated.map(batch => this.#outcomes(batch, recallKeyed(batch, this.#known)))
    const counted = sequenced.apply.map(batch => this.#count(batch, outcomes))
    const entered = enterBatches(this.accounts, this.givenUp, counted)
    for (const [producer, { account }] of entered) this.accounts.set(producer, account)
    for (const [producer, ranges] of sequenced.givenUp)
      this.givenUp.set(producer, entered.get(producer)?.hasAdvanced ? countedRanges(ranges) : ranges)
    const parked = [...this.parked.values()]
    const { watermarks } = sequenced
    return { watermarks, parked, outcomes, discarded: [], givenUp: new Map(this.givenUp) }
  }

  #count(batch: ReceivedBatch, outcomes: BatchOutcomes[]): Counted {
    const { codes, applied } = decideKeyed(batch, this.#known)
    if (codes !== '') outcomes.push(this.#outcomes(batch, codes))
    for (const { keys } of [batch, ...applied])
      for (const key of keys) this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
    const duplicate = batch.keyed.length - applied.length
    return { batch, applied: batch.increments - duplicate, duplicate, sum: 0n }
  }

  readonly #known = {
    find: (key: string) => this.#keys.get(key),
    hasRoom: () => true,
    add: (key: string, known: KnownKey) => void this.#keys.set(key, known),
  }

  #outcomes({ producer, sequence }: Batch, codes: string): BatchOutcomes {
    return { producer, sequence, codes }
  }
}

function nameOf({ producer, sequence }: { producer: string; sequence: number }): string {
  return `${producer} ${sequence}`
}
