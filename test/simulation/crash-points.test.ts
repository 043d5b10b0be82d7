import { expect, test } from 'vitest'
import { type Crash, CrashStory, victims } from './crash-points.ts'

/** Boundaries of the first rounds, in which all that matters happens; later ones repeat them. */
const boundaryCount = 40
const points: Crash[] = Array.from({ length: boundaryCount }, (_, at) => at).flatMap(at =>
  victims.map(victim => ({ at, victim })),
)

async function faultOf(...crashes: Crash[]): Promise<string | null> {
  const fault = await new CrashStory(crashes).run()
  return fault === null ? null : `${JSON.stringify(crashes)}: ${fault}`
}

test('without a crash everything is counted, and the story is longer than the boundaries that are tried', async () => {
  const story = new CrashStory([])
  expect(await story.run()).toBeNull()
  expect(story.boundaryCount).toBeGreaterThan(boundaryCount)
})

test('whatever process dies at whatever boundary, every promise is kept', async () => {
  for (const crash of points) expect(await faultOf(crash)).toBeNull()
})

test('whichever two die at whichever two boundaries, every promise is kept', async () => {
  let count = 0
  for (const first of points) {
    for (const second of points) {
      if (second.at <= first.at) continue
      const fault = await faultOf(first, second)
      if (fault !== null) expect.fail(fault)
      count++
    }
  }
  expect(count).toBe(((boundaryCount * (boundaryCount - 1)) / 2) * victims.length ** 2)
}, 120_000)
