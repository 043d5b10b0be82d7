import { expect, test } from 'vitest'
import { newsBelievedMs } from '../../lib/process/readiness-news.ts'
import type { ProcessReadiness } from '../../lib/process/status-server.ts'
import { ManualClock } from '../../test/kit/manual-clock.ts'
import { ReadinessBoard } from './readiness-board.ts'

test('a readiness report is not believed for ever', () => {
  const clock = new ManualClock(0)
  let told: readonly ProcessReadiness[] = []
  const board = new ReadinessBoard(clock, all => {
    told = all
  })
  board.add('web 1')
  board.add('web 2')
  board.heard('web 2', { reasons: ['full'] })
  expect(told).toEqual([
    { process: 'web 1', reasons: [] },
    { process: 'web 2', reasons: ['full'] },
  ])
  clock.pass(newsBelievedMs - 1)
  board.heard('web 1', { reasons: [] })
  clock.pass(1)
  expect(board.all().map(({ reasons }) => reasons)).toEqual([[], ['full', 'web 2 has not answered for 5 s']])
})
