import type { KeyedRequest, Sum } from '../../queue/batch.ts'
import { batchKeysMax } from '../../queue/limits.ts'
import type { Accumulator, Keyed } from './accumulator.ts'
import type { Generation } from './waiting.ts'

/** What one batch is to hold. */
export interface Content {
  readonly keys: readonly string[]
  readonly sums: readonly Sum[]
  readonly keyed: readonly KeyedRequest[]
  readonly increments: number
}

/** An accumulator that takes no more, being cut into batches. */
export class Sealing {
  /** When its oldest increment was accepted. */
  readonly oldest: NonNullable<Accumulator['oldest']>
  readonly #generation: Generation
  readonly #entries: ReturnType<Accumulator['entries']>
  #sumCount: number
  /** Not yet cut, in the order in which they came. */
  readonly #keyed: Keyed[]
  #keyCount: number

  /** `generation` is told when the last batch is cut. */
  constructor(accumulator: Accumulator, oldest: Sealing['oldest'], generation: Generation) {
    this.oldest = oldest
    this.#generation = generation
    this.#entries = accumulator.entries()
    this.#sumCount = accumulator.summedKeyCount
    this.#keyed = [...accumulator.keyed]
    this.#keyCount = accumulator.keyCount
  }

  /** Keys that are in no batch yet. */
  get keyCount(): number {
    return this.#keyCount
  }

  /** Cuts the next batch: `seal` seals the content and answers its sequence. */
  cut(seal: (content: Content) => number): void {
    const sums = this.#takeSums()
    const keyed = this.#takeKeyed(batchKeysMax - sums.keys.length)
    const requests = keyed.map(({ request }) => request)
    const increments = requests.reduce((count, request) => count + request.increments, sums.increments)
    const sequence = seal({ keys: sums.keys, sums: sums.sums, keyed: requests, increments })
    for (const [position, each] of keyed.entries()) Object.assign(each, { sequenceLast: sequence, position })
    if (this.#keyCount === 0) this.#generation.sequenceLast = sequence
  }

  #takeSums(): { keys: string[]; sums: Sum[]; increments: number } {
    const count = Math.min(batchKeysMax, this.#sumCount)
    const keys: string[] = []
    const sums: Sum[] = []
    let increments = 0
    for (let index = 0; index < count; index++) {
      const { key, sum, count: incrementCount } = this.#entries.next().value!
      keys.push(key)
      sums.push(sum)
      increments += incrementCount
    }
    this.#sumCount -= count
    this.#keyCount -= count
    return { keys, sums, increments }
  }

  /** As many keyed requests, none of them divided, as have together no more keys than that. */
  #takeKeyed(keysMax: number): Keyed[] {
    let count = 0
    let keyCount = 0
    for (const { request } of this.#keyed) {
      if (keyCount + request.keys.length > keysMax) break
      keyCount += request.keys.length
      count++
    }
    this.#keyCount -= keyCount
    return this.#keyed.splice(0, count)
  }
}
