import { queueKinds } from '../chaos/faulty-service.ts'
import { leaveNothingBehind } from '../kit/leave-nothing-behind.ts'
import { misused, programOptions } from '../kit/program-options.ts'
import { type Progress, runTurn } from './marathon.ts'

/**
 * `npm run marathon -- --minutes 30 [--seed 1]`: in turns on every kind of queue, each with the next seed,
 * with a line of progress every ten seconds. Exits with 1 at the first total that is wrong.
 */
const usage = 'usage: npm run marathon -- [--minutes N] [--seed N]'
const values = programOptions(usage, {
  minutes: { type: 'string', default: '30' },
  seed: { type: 'string', default: '1' },
})
const minutes = Number(values.minutes)
const firstSeed = Number(values.seed)
if (!(minutes > 0) || !Number.isSafeInteger(firstSeed)) misused(usage)
leaveNothingBehind()

const startedMs = performance.now()
const endMs = startedMs + minutes * 60_000
const turnMs = Math.min(180_000, (minutes * 60_000) / queueKinds.length)
const sum = { counted: 0, keyedRequests: 0, faultCount: 0, atRisk: 0, missing: 0 }
let lagMsMax = 0
for (let turn = 0; turn === 0 || performance.now() < endMs; turn++) {
  const queue = queueKinds[turn % queueKinds.length]!
  const seed = firstSeed + turn
  const turnStartedMs = performance.now()
  const events: string[] = []
  let before = { acknowledged: 0, atMs: turnStartedMs }
  const progress = ({ acknowledged, faultCount, lagMs, mebibytes }: Progress) => {
    const atMs = performance.now()
    const rate = (acknowledged - before.acknowledged) / (atMs - before.atMs) / 1_000
    before = { acknowledged, atMs }
    lagMsMax = Math.max(lagMsMax, lagMs ?? 0)
    console.log(
      `${clock()} ${((sum.counted + acknowledged) / 1e6).toFixed(0)} million increments, ${rate.toFixed(1)} million a second; ` +
        `${sum.faultCount + faultCount} faults; lag ${lagMs ?? '?'} ms, longest ${lagMsMax} ms; ${mebibytes} MiB`,
    )
  }
  try {
    const note = (event: string) =>
      events.push(`${Math.round(performance.now() - turnStartedMs)} ms: ${event}`)
    const result = await runTurn({ queue, seed, durationMs: turnMs, note, progress })
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += result[name]
    console.log(`${clock()} seed ${seed}, ${queue}: ${result.counted} increments counted, every total exact`)
  } catch (error) {
    console.error(events.join('\n'))
    console.error(error)
    process.exit(1)
  }
}
console.log(
  `${sum.counted} increments counted in ${clock()}, through ${sum.faultCount} faults, ${sum.keyedRequests} requests with ` +
    `idempotency keys among them: every total exact. Web processes that were killed had acknowledged ${sum.atRisk} ` +
    `increments from memory since their clients last knew more; ${sum.missing} of these are missing.`,
)
process.exit(0)

function clock(): string {
  const seconds = Math.round((performance.now() - startedMs) / 1_000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
