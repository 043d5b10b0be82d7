import { addSums, type KeyedRequest, keysTakenBy } from '../../batch/batch.ts'
import type { BatchWriter } from '../../batch/writer.ts'
import type { IncrementList } from '../parse/increment-list.ts'
import { KeyTable } from './key-table.ts'
import { pageUnitsLog2, pageUnitsMask } from './key-records.ts'

/** Room for so many times what is needed is not kept, */
const spareFactor = 8
/** unless it is this little. */
const spareKeysMin = 64

/** A request with an idempotency key, and the place of its outcome. */
export interface Keyed {
  readonly request: KeyedRequest
  /** The sequence number of its batch; null until that is sealed. */
  sequenceLast: number | null
  /** Its position among the keyed requests of that batch, from 0. */
  position: number
}

/**
 * The sums that a web process has accepted and not yet sealed. A key's first increment gives it a
 * record; every further one is one look-up and two additions. Memory is bounded by the number of distinct
 * keys, not by time.
 */
export class Accumulator {
  /** The numbers of a record: the sum of its key, a safe integer, and how many increments that is made of. */
  readonly #keys: KeyTable
  /** The parts of sums that do not fit into their records, by address: for the rare key beyond ±(2^53-1). */
  readonly #carries = new Map<number, bigint>()
  /** The address of the first record that is not written. */
  #addressWritten = 0
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
  }

  /**
   * Forgets everything and keeps the memory, which need not be found, filled with zeros and collected again
   * at each interval. False when it has far more than `like`, the one before, needed: it is better thrown
   * away then.
   */
  tryClear(like: Accumulator): boolean {
    this.#keyCountMax = Math.max(this.#keyCountMax, this.#keys.size)
    if (this.#keyCountMax > spareKeysMin + spareFactor * like.summedKeyCount) return false
    this.#keys.clear()
    this.#carries.clear()
    this.#addressWritten = 0
    this.#keyed = []
    this.#keyedKeyCount = 0
    this.#oldest = null
    return true
  }

  /** Keys of the sums, and what the keyed requests take, which are not merged. */
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

  /** Returns how many different keys of `list` are not in here. */
  newKeyCount(list: IncrementList): number {
    const newKeys = new Set<string>()
    for (let index = 0; index < list.length; index++)
      if (this.#keys.find(list, index) === -1) newKeys.add(list.keyAt(index))
    return newKeys.size
  }

  /** The caller has checked that there is room for new keys. */
  add(list: IncrementList): void {
    if (list.length > 0) this.#oldest ??= this.#now()
    const { pages } = this.#keys.records
    for (let index = 0; index < list.length; index++) {
      const address = this.#keys.findOrAdd(list, index)
      const { numbers } = pages[address >>> pageUnitsLog2]!
      const at = address & pageUnitsMask
      const value = list.values[index]!
      const sum = numbers[at]! + value
      numbers[at + 1]!++
      if (Number.isSafeInteger(sum)) numbers[at] = sum
      else {
        this.#carries.set(address, (this.#carries.get(address) ?? 0n) + BigInt(numbers[at]!))
        numbers[at] = value
      }
    }
  }

  /** Takes a request that is not to be summed. */
  addKeyed(keyed: Keyed): void {
    this.#oldest ??= this.#now()
    this.#keyed.push(keyed)
    this.#keyedKeyCount += keysTakenBy(keyed.request)
  }

  /**
   * Writes so many of the sums that are not yet written, in the order in which their keys came. Returns how
   * many increments they are made of. The accumulator must not be added to any more.
   */
  write(keyCount: number, writer: BatchWriter): number {
    const { records } = this.#keys
    let address = this.#addressWritten
    let increments = 0
    for (let count = 0; count < keyCount; count++) {
      const { numbers, bytes } = records.pages[address >>> pageUnitsLog2]!
      const sum = numbers[address & pageUnitsMask]!
      const carry = this.#carries.size === 0 ? undefined : this.#carries.get(address)
      const start = records.keyStart(address)
      const end = records.keyEnd(address)
      writer.addSum(bytes, start, end, carry === undefined ? sum : addSums(carry, sum))
      increments += numbers[(address & pageUnitsMask) + 1]!
      address = records.next(address)
    }
    this.#addressWritten = address
    return increments
  }
}
