import { addSums, type KeyedRequest } from '../../queue/batch.ts'
import type { BatchWriter } from '../../queue/batch-writer.ts'
import type { IncrementList } from './increment-list.ts'
import { KeyTable } from './key-table.ts'
import { PagedArray } from './paged-array.ts'

/** Of a page of sums, two numbers a slot. */
const sumsPageLog2 = 15
const sumsPageMask = (1 << sumsPageLog2) - 1
const slotCountMin = 64
/** Room for so many times what is needed is not kept. */
const spareFactor = 8

/** A request with an idempotency key, and where it went: what became of it stands there. */
export interface Keyed {
  readonly request: KeyedRequest
  /** Of the batch that it travels in; null until that is sealed. */
  sequenceLast: number | null
  /** From 0, among the keyed requests of that batch. */
  position: number
}

/**
 * The sums that a web process has accepted and not yet sealed. A key's first increment gives it a slot;
 * every further one is one look-up and two additions. Memory is bounded by the number of distinct keys, not
 * by time.
 */
export class Accumulator {
  readonly #keys: KeyTable
  /**
   * Two numbers a slot, side by side as they are needed together: its sum, a safe integer, and how many
   * increments that is made of.
   */
  readonly #sums: PagedArray<Float64Array>
  /** What no longer fits into a slot's sum, for the rare key that leaves ±(2^53-1). */
  readonly #carries = new Map<number, bigint>()
  #keyed: Keyed[] = []
  #keyedKeyCount = 0
  /** Keys of the sums for which it has had room. */
  #keyCountMax: number
  /**
   * When the oldest increment in here was accepted; null while empty. Epoch milliseconds and monotonic
   * ones.
   */
  #oldest: { readonly wallMs: number; readonly monotonicMs: number } | null = null
  readonly #now: () => { wallMs: number; monotonicMs: number }

  /** `like`: the one before, whose keys say how much room these may need; it grows as needed. */
  constructor(now: () => { wallMs: number; monotonicMs: number }, like: Accumulator | null = null) {
    this.#now = now
    this.#keys = like === null ? new KeyTable() : KeyTable.sizedLike(like.#keys)
    this.#keyCountMax = like?.summedKeyCount ?? 0
    const slotCount = Math.max(slotCountMin, this.#keyCountMax)
    this.#sums = new PagedArray(length => new Float64Array(length), sumsPageLog2, 2 * slotCount)
  }

  /**
   * Forgets everything and keeps the memory, which need not be found, filled with zeros and collected again
   * at each interval. False when it has far more than `like`, the one before, needed: it is better thrown
   * away then.
   */
  tryClear(like: Accumulator): boolean {
    this.#keyCountMax = Math.max(this.#keyCountMax, this.#keys.size)
    if (this.#keyCountMax > slotCountMin + spareFactor * like.summedKeyCount) return false
    this.#keys.clear()
    this.#carries.clear()
    this.#keyed = []
    this.#keyedKeyCount = 0
    this.#oldest = null
    return true
  }

  /** Keys of the sums, and keys of the keyed requests, which are not merged. */
  get keyCount(): number {
    return this.#keys.size + this.#keyedKeyCount
  }

  /** Keys of the sums. */
  get summedKeyCount(): number {
    return this.#keys.size
  }

  get keyed(): readonly Keyed[] {
    return this.#keyed
  }

  get oldest() {
    return this.#oldest
  }

  /** How many different keys of `list` are not in here. */
  newKeyCount(list: IncrementList): number {
    const newKeys = new Set<string>()
    for (let index = 0; index < list.length; index++)
      if (this.#keys.find(list, index) === -1) newKeys.add(list.keyAt(index))
    return newKeys.size
  }

  /** The caller has checked that there is room for new keys. */
  add(list: IncrementList): void {
    if (list.length > 0) this.#oldest ??= this.#now()
    const keys = this.#keys
    const { pages } = this.#sums
    for (let index = 0; index < list.length; index++) {
      const keyCount = keys.size
      const slot = keys.findOrAdd(list, index)
      const at = (2 * slot) & sumsPageMask
      if (slot === keyCount) {
        this.#sums.reserve(2 * slot + 2)
        // What stands there is of a key before the last clear.
        pages[slot >>> (sumsPageLog2 - 1)]!.fill(0, at, at + 2)
      }
      const page = pages[slot >>> (sumsPageLog2 - 1)]!
      const value = list.values[index]!
      const sum = page[at]! + value
      page[at + 1]!++
      if (Number.isSafeInteger(sum)) page[at] = sum
      else {
        this.#carries.set(slot, (this.#carries.get(slot) ?? 0n) + BigInt(page[at]!))
        page[at] = value
      }
    }
  }

  /** Takes a request that is not to be summed. */
  addKeyed(keyed: Keyed): void {
    this.#oldest ??= this.#now()
    this.#keyed.push(keyed)
    this.#keyedKeyCount += keyed.request.keys.length
  }

  /**
   * Writes the sums of the slots from `first` to before `end`, which are numbered in the order in which their
   * keys came. Answers how many increments they are made of.
   */
  write(first: number, end: number, writer: BatchWriter): number {
    const keys = this.#keys
    const { pages } = this.#sums
    let increments = 0
    for (let slot = first; slot < end; slot++) {
      const page = pages[slot >>> (sumsPageLog2 - 1)]!
      const at = (2 * slot) & sumsPageMask
      const carry = this.#carries.size === 0 ? undefined : this.#carries.get(slot)
      const sum = carry === undefined ? page[at]! : addSums(carry, page[at]!)
      writer.addSum(keys.pageOf(slot), keys.startOf(slot), keys.endOf(slot), sum)
      increments += page[at + 1]!
    }
    return increments
  }
}
