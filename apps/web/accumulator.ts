import { addSums, type KeyedRequest, type Sum } from '../../queue/batch.ts'

const slotCountMin = 64

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
  readonly #slotByKey = new Map<string, number>()
  /** Per slot; each a safe integer. */
  #sums: Float64Array
  /** Per slot: how many increments its sum is made of. */
  #counts: Float64Array
  /** What no longer fits into a slot's sum, for the rare key that leaves ±(2^53-1). */
  readonly #carries = new Map<number, bigint>()
  readonly #keyed: Keyed[] = []
  #keyedKeyCount = 0
  /**
   * When the oldest increment in here was accepted; null while empty. Epoch milliseconds and monotonic
   * ones.
   */
  #oldest: { readonly wallMs: number; readonly monotonicMs: number } | null = null
  readonly #now: () => { wallMs: number; monotonicMs: number }

  /** `slotCount`: how many keys to expect; it grows as needed. */
  constructor(now: () => { wallMs: number; monotonicMs: number }, slotCount = slotCountMin) {
    this.#now = now
    const size = Math.max(slotCountMin, slotCount)
    this.#sums = new Float64Array(size)
    this.#counts = new Float64Array(size)
  }

  /** Keys of the sums, and keys of the keyed requests, which are not merged. */
  get keyCount(): number {
    return this.#slotByKey.size + this.#keyedKeyCount
  }

  /** Keys of the sums. */
  get summedKeyCount(): number {
    return this.#slotByKey.size
  }

  get keyed(): readonly Keyed[] {
    return this.#keyed
  }

  get oldest() {
    return this.#oldest
  }

  has(key: string): boolean {
    return this.#slotByKey.has(key)
  }

  /** `value` is a safe integer. The caller has checked that there is room for a new key. */
  add(key: string, value: number): void {
    let slot = this.#slotByKey.get(key)
    if (slot === undefined) slot = this.#newSlot(key)
    const sum = this.#sums[slot]! + value
    this.#counts[slot]!++
    if (Number.isSafeInteger(sum)) this.#sums[slot] = sum
    else this.#carry(slot, value)
  }

  /** Takes a request that is not to be summed. */
  addKeyed(keyed: Keyed): void {
    this.#oldest ??= this.#now()
    this.#keyed.push(keyed)
    this.#keyedKeyCount += keyed.request.keys.length
  }

  /** The entries, in the order in which their keys came. The accumulator must not be added to any more. */
  *entries(): Generator<{ key: string; sum: Sum; count: number }> {
    for (const [key, slot] of this.#slotByKey) {
      const carry = this.#carries.get(slot)
      const sum = carry === undefined ? this.#sums[slot]! : addSums(carry, this.#sums[slot]!)
      yield { key, sum, count: this.#counts[slot]! }
    }
  }

  #newSlot(key: string): number {
    this.#oldest ??= this.#now()
    const slot = this.#slotByKey.size
    if (slot === this.#sums.length) {
      this.#sums = grown(this.#sums)
      this.#counts = grown(this.#counts)
    }
    this.#slotByKey.set(key, slot)
    return slot
  }

  #carry(slot: number, value: number): void {
    this.#carries.set(slot, (this.#carries.get(slot) ?? 0n) + BigInt(this.#sums[slot]!))
    this.#sums[slot] = value
  }
}

function grown(array: Float64Array): Float64Array {
  const larger = new Float64Array(array.length * 2)
  larger.set(array)
  return larger
}
