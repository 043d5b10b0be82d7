import { leaveNothingBehind } from '../kit/leave-nothing-behind.ts'
import { misused, programOptions } from '../kit/program-options.ts'
import { ServiceWorld } from './service-world.ts'
import { allWords, heldWords, notYetHeld, type Word, words } from './words.ts'
import { World } from './world.ts'

const usage = `usage: npm run simulate -- [--seeds COUNT] [--first SEED]
  [--service [--with WORD] [--only WORD] [--count]]
  --with WORD  bad days of one more kind, as well as those that every schedule has
  --only WORD  bad days of this kind, and none of the others that have a word
  --count      go on after a fault, and say how many schedules have one
words:
${Object.entries(words)
  .map(([word, meaning]) => `  ${word.padEnd(22)} ${word in notYetHeld ? '(not yet held) ' : ''}${meaning}`)
  .join('\n')}`

interface Schedule {
  readonly history: readonly string[]
  run(): Promise<void>
  verdict(): string | null | Promise<string | null>
  close?(): void
}

/**
 * `npm run simulate -- --seeds 100000 [--first 1]`: so many random schedules of the delivery protocol; with
 * `--service`, of the whole service, which takes fifty times as long for each. Exits with 1 at the first that
 * breaks a promise, with its seed and what happened; `--seeds 1 --first SEED` shows it again.
 */
async function main(): Promise<number> {
  const values = programOptions(usage, {
    seeds: { type: 'string' },
    first: { type: 'string', default: '1' },
    service: { type: 'boolean', default: false },
    with: { type: 'string', multiple: true, default: [] },
    only: { type: 'string', multiple: true },
    count: { type: 'boolean', default: false },
  })
  const chosen = values.only ?? [...heldWords, ...values.with]
  if (!chosen.every(isWord)) misused(usage)
  const [seedCount, first] = [
    Number(values.seeds ?? (values.service ? 2_000 : 100_000)),
    Number(values.first),
  ]
  if (!Number.isSafeInteger(seedCount) || seedCount < 1 || !Number.isSafeInteger(first)) misused(usage)
  const startedMs = performance.now()
  let reportedMs = startedMs
  let faultCount = 0
  for (let seed = first; seed < first + seedCount; seed++) {
    const fault = await runSchedule(values.service ? new ServiceWorld(seed, chosen) : new World(seed))
    if (fault !== null && values.count) {
      faultCount++
      console.log(`seed ${seed}: ${fault.split('\n').find(line => !/^[0-9]+ ms: /.test(line))}`)
    } else if (fault !== null) {
      console.error(`${fault}\nseed ${seed}`)
      return 1
    }
    if (performance.now() - reportedMs > 10_000) {
      reportedMs = performance.now()
      console.log(`${seed - first + 1} of ${seedCount} schedules`)
    }
  }
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1)
  const range = `${seedCount} schedules from seed ${first} in ${seconds} s`
  if (faultCount > 0) console.log(`${range}: ${faultCount} have a fault`)
  else console.log(`${range}: every increment once, every answer true`)
  return faultCount === 0 ? 0 : 1
}

function isWord(word: string): word is Word {
  return allWords.includes(word as Word)
}

/** Resolves to null, or to what happened and what was wrong with it. */
async function runSchedule(world: Schedule): Promise<string | null> {
  try {
    await world.run()
    const fault = await world.verdict()
    return fault && `${world.history.join('\n')}\n${fault}`
  } finally {
    world.close?.()
  }
}

leaveNothingBehind()
process.exit(await main())
