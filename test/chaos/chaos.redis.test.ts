import { expect, test } from 'vitest'
import { runChaos } from './chaos.ts'
import { queueKinds } from './faulty-service.ts'

/** A short run of `npm run chaos`, which has longer ones; another seed every time, printed when it fails. */
const durationMs = 8_000

test.each(queueKinds)(
  'clients that retry count exactly once while processes die at random, on %s',
  async queue => {
    const seed = Math.floor(Math.random() * 1e9)
    const events: string[] = []
    const result = await runChaos({ queue, seed, durationMs, note: event => events.push(event) }).catch(
      error => {
        throw new Error(`${(error as Error).message}\n${events.join('\n')}`)
      },
    )
    expect(result.faultCount).toBeGreaterThan(0)
    expect(result.book.counts.applied).toBeGreaterThan(0)
    expect(result.book.committed.size).toBeGreaterThan(0)
  },
  180_000,
)
