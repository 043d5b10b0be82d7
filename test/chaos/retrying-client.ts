import { Agent, request } from 'node:http'
import type { Random } from '../kit/random.ts'

/** A record of what one client asked for and saw, to be compared with the database in the end. */
export interface Book {
  /** Sums by key, asked for with idempotency keys, and answered with 200 in the end. */
  readonly meant: Map<string, bigint>
  /** Keys of their own, each incremented by 1 with `ack=committed`; true when the answer was 200. */
  readonly committed: Map<string, boolean>
  /** Answers that no client should ever get. */
  readonly faults: string[]
  readonly counts: Record<'requests' | 'retries' | 'applied' | 'duplicate', number>
}

export function newBook(): Book {
  return {
    meant: new Map(),
    committed: new Map(),
    faults: [],
    counts: { requests: 0, retries: 0, applied: 0, duplicate: 0 },
  }
}

/**
 * Returns the totals that the book demands. An increment without a certain answer may be there or not: where
 * it is, it is taken out of `totals` and counted.
 */
export function expectedTotals(
  { meant, committed }: Book,
  totals: Map<string, string>,
): { expected: Map<string, string>; uncertainCount: number } {
  const expected = new Map([...meant].map(([key, sum]) => [key, String(sum)]))
  let uncertainCount = 0
  for (const [key, isCertain] of committed) {
    if (isCertain) expected.set(key, '1')
    else if (totals.get(key) === '1' || !totals.has(key)) {
      uncertainCount++
      totals.delete(key)
    }
  }
  return { expected, uncertainCount }
}

interface Answer {
  readonly status: number
  readonly result: string | undefined
}

const keyCount = 40
/** Statuses after which a client that means it asks again. */
const retried = new Set([202, 409, 503])
const retryDelayMsMax = 60

/**
 * A client that means every increment: it sends each request with an idempotency key until it is answered
 * with 200, and goes away in the middle of some, as real ones do.
 */
export class RetryingClient {
  readonly #name: string
  readonly #url: string
  readonly #random: Random
  readonly #book: Book
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  #isStopped = false

  constructor(name: string, url: string, random: Random, book: Book) {
    this.#name = name
    this.#url = url
    this.#random = random
    this.#book = book
  }

  /** Ends after the request that is under way has been answered. */
  stop(): void {
    this.#isStopped = true
  }

  async run(): Promise<void> {
    for (let number = 1; !this.#isStopped; number++) {
      if (this.#random.chance(0.2)) await this.#commitOne(`${this.#name}-${number}`)
      else await this.#insist(`${this.#name}-${number}`)
      await pause(this.#random.below(5))
    }
    this.#agent.destroy()
  }

  /** Sends without an idempotency key: one try, and what its answer promised must hold. */
  async #commitOne(key: string): Promise<void> {
    this.#book.counts.requests++
    const answer = await this.#post('/increment?ack=committed', `key=${key}&value=1`, {}, null)
    this.#book.committed.set(key, answer?.status === 200)
  }

  async #insist(idempotencyKey: string): Promise<void> {
    const increments = Array.from({ length: 1 + this.#random.below(4) }, () => ({
      key: `shared ${this.#random.below(keyCount)}`,
      value: this.#random.below(2_000) - 1_000,
    }))
    const headers = { 'Idempotency-Key': `"${idempotencyKey}"`, 'Content-Type': 'application/json' }
    const body = JSON.stringify(increments)
    this.#book.counts.requests++
    for (let isRetry = false; ; isRetry = true) {
      if (isRetry) this.#book.counts.retries++
      const patienceMs = this.#random.chance(0.1) ? this.#random.below(20) : null
      const answer = await this.#post('/increment', body, headers, patienceMs)
      if (answer?.status === 200) {
        if (answer.result === 'applied') this.#book.counts.applied++
        else if (answer.result === 'duplicate') this.#book.counts.duplicate++
        else this.#book.faults.push(`${idempotencyKey} was answered 200 and ${answer.result}`)
        if (answer.result === 'duplicate' && !isRetry)
          this.#book.faults.push(`${idempotencyKey} was a duplicate at its first try`)
        break
      }
      if (answer !== null && !retried.has(answer.status))
        this.#book.faults.push(`${idempotencyKey} was answered ${answer.status}`)
      await pause(this.#random.below(retryDelayMsMax))
    }
    for (const { key, value } of increments)
      this.#book.meant.set(key, (this.#book.meant.get(key) ?? 0n) + BigInt(value))
  }

  /** Resolves to null when there was no answer, or the client went away after `patienceMs`. */
  #post(
    target: string,
    body: string,
    headers: Readonly<Record<string, string>>,
    patienceMs: number | null,
  ): Promise<Answer | null> {
    return new Promise(resolve => {
      const post = request(`${this.#url}${target}`, {
        method: 'POST',
        agent: this.#agent,
        timeout: 15_000,
        headers: { ...headers, 'Content-Length': Buffer.byteLength(body) },
      })
      if (patienceMs !== null) setTimeout(() => post.destroy(), patienceMs)
      post.on('response', response => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', chunk => {
          text += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode!, result: resultOf(text) }))
        response.on('error', () => resolve(null))
      })
      post.on('timeout', () => post.destroy())
      post.on('error', () => resolve(null))
      post.on('close', () => resolve(null))
      post.end(body)
    })
  }
}

function resultOf(text: string): string | undefined {
  try {
    return JSON.parse(text).result
  } catch {
    return undefined
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
