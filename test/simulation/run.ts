import { parseArgs } from 'node:util'
import { World } from './world.ts'

/**
 * `npm run simulate -- --seeds 100000 [--first 1]`: so many random schedules. Exits with 1 at the first that
 * breaks a promise, with its seed and what happened; `--seeds 1 --first SEED` shows it again.
 */
const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '100000' }, first: { type: 'string', default: '1' } },
})
const [seedCount, first] = [Number(values.seeds), Number(values.first)]
if (!Number.isSafeInteger(seedCount) || seedCount < 1 || !Number.isSafeInteger(first)) {
  console.error('usage: npm run simulate -- [--seeds COUNT] [--first SEED]')
  process.exit(64)
}
const startedMs = performance.now()
let reportedMs = startedMs
for (let seed = first; seed < first + seedCount; seed++) {
  const world = new World(seed)
  await world.run()
  const fault = world.verdict()
  if (fault !== null) {
    console.error(`${world.history.join('\n')}\nseed ${seed}: ${fault}`)
    process.exit(1)
  }
  if (performance.now() - reportedMs > 10_000) {
    reportedMs = performance.now()
    console.log(`${seed - first + 1} of ${seedCount} schedules`)
  }
}
const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1)
console.log(
  `${seedCount} schedules from seed ${first} in ${seconds} s: every increment once, every answer true`,
)
