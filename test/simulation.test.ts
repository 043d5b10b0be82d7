import { expect, test } from 'vitest'
import { ServiceWorld } from './simulation/service-world.ts'
import { World } from './simulation/world.ts'

/** `npm run simulate` runs more of them. */
const protocolScheduleCount = 40_000
const serviceScheduleCount = 1_000

test(`every increment counts once, and every answer holds, in ${protocolScheduleCount} random schedules of the protocol`, async () => {
  for (let seed = 1; seed <= protocolScheduleCount; seed++) {
    const world = new World(seed)
    await world.run()
    const fault = world.verdict()
    if (fault !== null) expect.fail(`seed ${seed}: ${fault}\n${world.history.join('\n')}`)
  }
}, 400_000)

test(`every increment counts once, and every answer holds, in ${serviceScheduleCount} random schedules of the whole service`, async () => {
  for (let seed = 1; seed <= serviceScheduleCount; seed++) {
    const world = new ServiceWorld(seed)
    try {
      await world.run()
      const fault = await world.verdict()
      if (fault !== null) expect.fail(`seed ${seed}: ${fault}\n${world.history.join('\n')}`)
    } finally {
      world.close()
    }
  }
}, 400_000)
