import { leaveNothingBehind } from '../kit/leave-nothing-behind.ts'
import { misused, programOptions } from '../kit/program-options.ts'
import { runChaos } from './chaos.ts'
import { queueKinds } from './faulty-service.ts'

/**
 * `npm run chaos -- --minutes 10 [--seed 1]`: in turns of a minute on every kind of queue, each with the next
 * seed. Exits with 1 at the first total that is wrong.
 */
const usage = 'usage: npm run chaos -- [--minutes N] [--seed N]'
const values = programOptions(usage, {
  minutes: { type: 'string', default: '3' },
  seed: { type: 'string', default: '1' },
})
const minutes = Number(values.minutes)
const firstSeed = Number(values.seed)
if (!(minutes > 0) || !Number.isSafeInteger(firstSeed)) misused(usage)
leaveNothingBehind()
const turnMs = Math.min(60_000, (minutes * 60_000) / queueKinds.length)
const endMs = performance.now() + minutes * 60_000
for (let turn = 0; turn === 0 || performance.now() < endMs; turn++) {
  const queue = queueKinds[turn % queueKinds.length]!
  const seed = firstSeed + turn
  const startedMs = performance.now()
  const events: string[] = []
  try {
    const note = (event: string) => events.push(`${Math.round(performance.now() - startedMs)} ms: ${event}`)
    const { book, faultCount, uncertainCount } = await runChaos({ queue, seed, durationMs: turnMs, note })
    const { requests, retries, applied, duplicate } = book.counts
    const seconds = Math.round((performance.now() - startedMs) / 1_000)
    console.log(
      `seed ${seed}, ${queue}, ${seconds} s: ${faultCount} faults, ${requests} requests, ${retries} retries, ` +
        `${applied} applied, ${duplicate} duplicates; ${uncertainCount} unkeyed ones without an answer; every total exact`,
    )
  } catch (error) {
    console.error(events.join('\n'))
    console.error(error)
    process.exit(1)
  }
}
