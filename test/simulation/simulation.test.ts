import { expect, test } from 'vitest'
import { ServiceWorld } from './service-world.ts'
import { notYetHeld, type Word, words } from './words.ts'
import { World } from './world.ts'

/** `npm run simulate` runs more of them. */
const protocolScheduleCount = 40_000
const serviceScheduleCount = 500
/** One of so many schedules with a bad day that is not held yet shows it. */
const faultyScheduleCountMax = 60

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
    const fault = await faultOf(world)
    if (fault !== null) expect.fail(`seed ${seed}: ${fault}\n${world.history.join('\n')}`)
  }
}, 400_000)

/** A fault that somebody has fixed fails here: its word is to leave the list then. */
test.each(Object.keys(notYetHeld) as Word[])(
  'not held yet, as everybody may see: %s',
  async word => {
    const { broken, reason } = notYetHeld[word]!
    for (let seed = 1; seed <= faultyScheduleCountMax; seed++) {
      const fault = await faultOf(new ServiceWorld(seed, [word]))
      if (fault !== null && broken.test(fault)) return
      if (fault !== null) expect.fail(`seed ${seed}: ${fault}`)
    }
    expect.fail(`"${words[word]}" breaks nothing any more; it was said to, because ${reason}`)
  },
  100_000,
)

async function faultOf(world: ServiceWorld): Promise<string | null> {
  try {
    await world.run()
    return await world.verdict()
  } finally {
    world.close()
  }
}
