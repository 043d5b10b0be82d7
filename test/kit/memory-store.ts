import { batchName, type Batch, type BatchId, type ReceivedBatch } from '../../batch/batch.ts'
import { type BatchOutcomes, outcomes as outcomeCodes } from '../../batch/outcomes.ts'
import { type Counted, enterBatches, type ProducerAccount } from '../../store/accounts.ts'
import { countedRanges, type GivenUpRange, withRange } from '../../store/given-up.ts'
import type { Publication } from '../../queue/queue.ts'
import { decideKeyed, type CountedRequest, recallKeyed } from '../../store/idempotency.ts'
import { sequenceBatches } from '../../store/sequencing.ts'
import type { Account, CommitRequest, CommitResult, Store, Watermarks } from '../../store/store.ts'

const nothing: ProducerAccount = { watermark: 0, sealed: 0, applied: 0, duplicate: 0, lost: 0, sum: '0' }
const totalMax = 2n ** 63n - 1n

export interface MemoryStoreOptions {
  readonly idempotencyKeysMax?: number
  readonly idempotencyWindowMs?: number
  readonly nowMs?: () => number
}

/**
 * A store in memory, whose every method is one transaction: what each batch does is decided by the code of
 * production, and only the tables are replaced.
 */
export class MemoryStore implements Store {
  readonly id = 'the store'
  readonly totals = new Map<string, bigint>()
  /** How often each key was counted. */
  readonly counts = new Map<string, number>()
  readonly parkedBatches = new Map<string, ReceivedBatch>()
  readonly givenUp = new Map<string, readonly GivenUpRange[]>()
  readonly accounts = new Map<string, ProducerAccount>()
  readonly #counted = new Map<string, CountedRequest & { readonly countedMs: number }>()
  /** The outcome codes of batches with a request that was refused: it left no idempotency key. */
  readonly #refused = new Map<string, string>()
  readonly #options: MemoryStoreOptions

  constructor(options: MemoryStoreOptions = {}) {
    this.#options = options
  }

  async commit(request: CommitRequest): Promise<CommitResult> {
    return this.apply(request)
  }

  async watermarks(): Promise<Watermarks> {
    const applied = new Map([...this.accounts].map(([producer, { watermark }]) => [producer, watermark]))
    return { applied, givenUp: new Map([...this.givenUp].filter(([, ranges]) => ranges.length > 0)) }
  }

  async account(): Promise<Account> {
    const total = { sealed: 0, applied: 0, duplicate: 0, lost: 0 }
    for (const account of this.accounts.values())
      for (const state of Object.keys(total) as (keyof Account)[]) total[state] += account[state]
    return total
  }

  async parked(): Promise<BatchId[]> {
    return [...this.parkedBatches.values()].map(idOf)
  }

  async acceptLoss(watermarks: ReadonlyMap<string, number>): Promise<void> {
    for (const [producer, watermark] of watermarks) {
      const account = this.accounts.get(producer) ?? nothing
      if (watermark <= account.watermark) continue
      const range = { first: account.watermark + 1, last: watermark }
      this.givenUp.set(producer, withRange(this.givenUp.get(producer) ?? [], range))
      this.accounts.set(producer, { ...account, watermark })
    }
  }

  async maintain(): Promise<string[]> {
    const beforeMs = this.#nowMs() - (this.#options.idempotencyWindowMs ?? Number.POSITIVE_INFINITY)
    for (const [key, { countedMs }] of this.#counted) if (countedMs < beforeMs) this.#counted.delete(key)
    return []
  }

  async close(): Promise<void> {}

  /** A commit that is over when it returns. */
  apply({ batches, presumedDead, askedAbout }: CommitRequest): CommitResult {
    const names = new Set([
      ...batches.map(({ producer }) => producer),
      ...presumedDead,
      ...(askedAbout ?? []),
    ])
    const accounts = new Map([...names].map(name => [name, this.accounts.get(name) ?? nothing]))
    const isRepeated = ({ producer, sequence, keyed }: Batch) =>
      keyed.length > 0 && sequence <= accounts.get(producer)!.watermark
    const sequenced = sequenceBatches({
      batches,
      progress: accounts,
      givenUp: this.givenUp,
      parked: this.#parkedOf(names),
      loadParked: id => this.parkedBatches.get(batchName(id))!,
      presumedDead,
    })
    const repeated = batches.filter(batch => isRepeated(batch) && !sequenced.apply.includes(batch))
    for (const batch of sequenced.park) this.parkedBatches.set(batchName(batch), batch)
    for (const id of sequenced.unpark) this.parkedBatches.delete(batchName(id))
    const outcomes = repeated.map(batch => outcomesOf(batch, this.#recall(batch)))
    const sums = new Map<string, bigint>()
    const counted = sequenced.apply.map(batch => this.#count(batch, sums, outcomes))
    const entered = enterBatches(accounts, this.givenUp, counted)
    for (const [producer, { account }] of entered) this.accounts.set(producer, account)
    for (const [producer, ranges] of sequenced.givenUp)
      this.givenUp.set(producer, entered.get(producer)?.hasAdvanced ? countedRanges(ranges) : ranges)
    const setAsideCount = this.#add(sums)
    const changes = [...entered]
    const isPositive = ([, count]: readonly [string, number]) => count > 0
    return {
      watermarks: sequenced.watermarks,
      parked: this.#parkedOf(names),
      applied: sequenced.apply,
      rejected: sequenced.reject.map(({ element }) => ({ element, reason: 'sealed less than before' })),
      outcomes,
      duplicateCount: counted.reduce((sum, { duplicate }) => sum + duplicate, 0),
      rowCount: sums.size - setAsideCount,
      setAsideCount,
      lost: new Map(changes.map(([name, { lost }]) => [name, lost] as const).filter(isPositive)),
      recovered: new Map(
        changes.map(([name, { recovered }]) => [name, recovered] as const).filter(isPositive),
      ),
      givenUp: new Map([...this.givenUp].filter(([name, ranges]) => names.has(name) && ranges.length > 0)),
    }
  }

  /** Commits as a consumer does that has just looked after all that wait; returns what it publishes. */
  publicationOf(batches: readonly ReceivedBatch[], presumedDead: ReadonlySet<string>): Publication {
    const askedAbout = new Set([...this.parkedBatches.values()].map(({ producer }) => producer))
    const request = { batches, rejected: [], presumedDead, askedAbout }
    const { watermarks, parked, outcomes, givenUp } = this.apply(request)
    return { watermarks, parked, outcomes, discarded: [], givenUp }
  }

  #count(batch: ReceivedBatch, sums: Map<string, bigint>, outcomes: BatchOutcomes[]): Counted {
    const { codes, applied } = decideKeyed(batch, this.#known)
    if (codes !== '') outcomes.push(outcomesOf(batch, codes))
    if (codes.includes(outcomeCodes.full)) this.#refused.set(batchName(batch), codes)
    let sum = 0n
    for (const part of [batch, ...applied])
      for (const [index, key] of part.keys.entries()) {
        const each = BigInt(part.sums[index]!)
        sum += each
        sums.set(key, (sums.get(key) ?? 0n) + each)
        this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
      }
    const increments = (requests: readonly { increments: number }[]) =>
      requests.reduce((count, request) => count + request.increments, 0)
    const duplicate = increments(batch.keyed) - increments(applied)
    return { batch, applied: batch.increments - duplicate, duplicate, sum }
  }

  #recall(batch: Batch): string {
    return this.#refused.get(batchName(batch)) ?? recallKeyed(batch, this.#known)
  }

  #nowMs(): number {
    return this.#options.nowMs?.() ?? 0
  }

  /** Returns how many sums did not fit into their totals. */
  #add(sums: ReadonlyMap<string, bigint>): number {
    let setAsideCount = 0
    for (const [key, sum] of sums) {
      const total = (this.totals.get(key) ?? 0n) + sum
      const fits = [sum, total].every(each => each >= -totalMax - 1n && each <= totalMax)
      if (fits) this.totals.set(key, total)
      else setAsideCount++
    }
    return setAsideCount
  }

  #parkedOf(names: ReadonlySet<string>): BatchId[] {
    return [...this.parkedBatches.values()].filter(({ producer }) => names.has(producer)).map(idOf)
  }

  readonly #known = {
    find: (key: string) => this.#counted.get(key),
    hasRoom: () => this.#counted.size < (this.#options.idempotencyKeysMax ?? Number.POSITIVE_INFINITY),
    add: (key: string, known: CountedRequest) =>
      void this.#counted.set(key, { ...known, countedMs: this.#nowMs() }),
  }
}

function outcomesOf({ producer, sequence }: Batch, codes: string): BatchOutcomes {
  return { producer, sequence, codes }
}

function idOf({ producer, sequence }: BatchId): BatchId {
  return { producer, sequence }
}
