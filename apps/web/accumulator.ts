import { addSums, type KeyedRequest, type Sum } from '../../queue/batch.ts'
import { KeyTable } from './key-table.ts'

const slotCountMin = 64
/** Slots in a page, all but the first being of this size. */
const pageSlots = 16_384
const pageSlotsLog2 = 14
/**
 * Keys of the sums that are in a Map: it finds one fastest, but beyond 32,768 it takes milliseconds to grow,
 * and its keys, on the heap, as long to be collected. Further ones are in a table that costs neither.
 */
export const mapKeysMax = 32_768

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
  /** Keys beyond the first `mapKeysMax`; their slots follow. */
  readonly #further = new KeyTable()
  #slotCount = 0
  /** Per slot, in pages: the sum, a safe integer, and how many increments it is made of. */
  readonly #pages: Float64Array[]
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
    this.#pages = [new Float64Array(2 * Math.min(pageSlots, Math.max(slotCountMin, slotCount)))]
  }

  /** Keys of the sums, and keys of the keyed requests, which are not merged. */
  get keyCount(): number {
    return this.#slotCount + this.#keyedKeyCount
  }

  /** Keys of the sums. */
  get summedKeyCount(): number {
    return this.#slotCount
  }

  get keyed(): readonly Keyed[] {
    return this.#keyed
  }

  get oldest() {
    return this.#oldest
  }

  has(key: string): boolean {
    return this.#slotByKey.has(key) || this.#further.find(key) !== -1
  }

  /** `value` is a safe integer. The caller has checked that there is room for a new key. */
  add(key: string, value: number): void {
    const slot = this.#slotByKey.get(key) ?? this.#slotOf(key)
    const page = this.#pages[slot >>> pageSlotsLog2]!
    const index = 2 * (slot & (pageSlots - 1))
    const sum = page[index]! + value
    page[index + 1]!++
    if (Number.isSafeInteger(sum)) page[index] = sum
    else {
      this.#carries.set(slot, (this.#carries.get(slot) ?? 0n) + BigInt(page[index]!))
      page[index] = value
    }
  }

  /** Takes a request that is not to be summed. */
  addKeyed(keyed: Keyed): void {
    this.#oldest ??= this.#now()
    this.#keyed.push(keyed)
    this.#keyedKeyCount += keyed.request.keys.length
  }

  /** The entries, in the order in which their keys came. The accumulator must not be added to any more. */
  *entries(): Generator<{ key: string; sum: Sum; count: number }> {
    for (const [key, slot] of this.#slotByKey) yield { key, ...this.#at(slot) }
    for (let number = 0; number < this.#further.size; number++)
      yield { key: this.#further.keyAt(number), ...this.#at(mapKeysMax + number) }
  }

  #at(slot: number): { sum: Sum; count: number } {
    const page = this.#pages[slot >>> pageSlotsLog2]!
    const index = 2 * (slot & (pageSlots - 1))
    const carry = this.#carries.get(slot)
    return { sum: carry === undefined ? page[index]! : addSums(carry, page[index]!), count: page[index + 1]! }
  }

  /** Of a key that is not in the Map. */
  #slotOf(key: string): number {
    const mapSize = this.#slotByKey.size
    const slot = mapSize < mapKeysMax ? mapSize : mapKeysMax + this.#further.findOrAdd(key)
    if (slot < this.#slotCount) return slot
    this.#oldest ??= this.#now()
    if (mapSize < mapKeysMax) this.#slotByKey.set(key, slot)
    this.#slotCount = slot + 1
    this.#makeRoomFor(slot)
    return slot
  }

  #makeRoomFor(slot: number): void {
    const index = slot >>> pageSlotsLog2
    const page = this.#pages[index]
    const wordIndex = 2 * (slot & (pageSlots - 1))
    if (page === undefined) this.#pages.push(new Float64Array(2 * pageSlots))
    else if (wordIndex === page.length) this.#pages[index] = grown(page)
  }
}

function grown(page: Float64Array): Float64Array {
  const larger = new Float64Array(Math.min(2 * page.length, 2 * pageSlots))
  larger.set(page)
  return larger
}
