import { expect, test } from 'vitest'
import { ManualClock } from '../test/kit/manual-clock.ts'
import { WakeableSleep } from './wakeable-sleep.ts'

test('it sleeps for as long as it should, unless a hint comes before its end or its beginning', async () => {
  const clock = new ManualClock(0)
  const wakeable = new WakeableSleep(clock)
  let woken = 0
  const sleep = () => wakeable.sleep(100).then(() => woken++)

  const whole = sleep()
  clock.pass(99)
  await Promise.resolve()
  expect(woken).toBe(0)
  clock.pass(1)
  await whole

  const ended = sleep()
  wakeable.wake()
  await ended
  expect(clock.timers).toEqual([])

  wakeable.wake()
  await sleep()
  expect(woken).toBe(3)

  const again = sleep()
  expect(clock.timers).toHaveLength(1)
  clock.pass(100)
  await again
})
