import { expect, test } from 'vitest'
import { ManualClock } from '../test/kit/manual-clock.ts'
import { Doze } from './wakeable-sleep.ts'

test('it sleeps for as long as it should, unless a hint comes before its end or its beginning', async () => {
  const clock = new ManualClock(0)
  const doze = new Doze(clock)
  let woken = 0
  const sleep = () => doze.sleep(100).then(() => woken++)

  const whole = sleep()
  clock.pass(99)
  await Promise.resolve()
  expect(woken).toBe(0)
  clock.pass(1)
  await whole

  const ended = sleep()
  doze.hint()
  await ended
  expect(clock.timers).toEqual([])

  doze.hint()
  await sleep()
  expect(woken).toBe(3)

  const again = sleep()
  expect(clock.timers).toHaveLength(1)
  clock.pass(100)
  await again
})
