import { expect, test } from 'vitest'
import { World } from './simulation/world.ts'

/** `npm run simulate` runs more of them. */
const scheduleCount = 40_000

test(`every increment counts once, and every answer holds, in ${scheduleCount} random schedules`, async () => {
  for (let seed = 1; seed <= scheduleCount; seed++) {
    const world = new World(seed)
    await world.run()
    const fault = world.verdict()
    if (fault !== null) expect.fail(`seed ${seed}: ${fault}\n${world.history.join('\n')}`)
  }
}, 400_000)
