import { Random } from '../kit/random.ts'
import { differenceOf } from '../kit/service.ts'
import { FaultyService, type FaultyServiceOptions } from './faulty-service.ts'
import { type Book, expectedTotals, newBook, RetryingClient } from './retrying-client.ts'

export interface ChaosOptions extends Omit<FaultyServiceOptions, 'random'> {
  readonly seed: number
  readonly durationMs: number
}

export interface ChaosResult {
  readonly book: Book
  readonly faultCount: number
  /** Number of unkeyed increments whose answer did not come or was not 200: they may or may not count. */
  readonly uncertainCount: number
}

const clientCount = 12

/**
 * Runs the whole service under faults while clients insist on every request. Rejects, with what differs, when
 * a single total is wrong in the end, or a client got an answer that it never should.
 */
export async function runChaos({ queue, seed, durationMs, note }: ChaosOptions): Promise<ChaosResult> {
  const random = new Random(seed)
  const service = await FaultyService.start({ queue, random, note })
  try {
    const book = newBook()
    const clients = Array.from(
      { length: clientCount },
      (_, index) => new RetryingClient(`c${index}`, service.url, new Random(seed * 1_000 + index), book),
    )
    const running = clients.map(client => client.run())
    const endMs = performance.now() + durationMs
    while (performance.now() < endMs) {
      await new Promise(resolve => setTimeout(resolve, 100 + random.below(900)))
      await service.fault()
    }
    note('no more faults')
    for (const client of clients) client.stop()
    await Promise.all(running)
    await service.settle()
    return { book, faultCount: service.faultCount, uncertainCount: judge(book, service, seed) }
  } finally {
    await service[Symbol.asyncDispose]()
  }
}

/** Returns how many increments without a certain answer there were; throws when a total is wrong. */
function judge(book: Book, service: FaultyService, seed: number): number {
  const totals = service.folder.totals()
  const { expected, uncertainCount } = expectedTotals(book, totals)
  const difference = differenceOf(expected, totals)
  if (difference === '' && book.faults.length === 0) return uncertainCount
  const ledger = service.folder.sql('SELECT * FROM producers')
  const faults = book.faults.slice(0, 20)
  throw new Error([`seed ${seed}`, difference, ...faults, ledger, service.output.slice(-6_000)].join('\n'))
}
