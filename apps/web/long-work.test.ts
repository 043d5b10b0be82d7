import { beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../../test/kit/manual-clock.ts'
import { LongWork } from './long-work.ts'

let clock: ManualClock
let longWork: LongWork
const nextTurn = () => new Promise(resolve => setImmediate(resolve))

beforeEach(() => {
  clock = new ManualClock(0)
  longWork = new LongWork(clock)
})

test('a turn has 20 ms for it, and the next one as many', async () => {
  expect(longWork.isFree).toBe(true)
  clock.pass(19)
  expect(longWork.isFree).toBe(true)
  clock.pass(1)
  expect(longWork.isFree).toBe(false)
  await nextTurn()
  expect(longWork.isFree).toBe(true)
})

test('work that has to wait is done in order, some of it in each turn, and nothing overtakes it', async () => {
  const done: number[] = []
  for (let index = 0; index < 7; index++)
    longWork.later(() => {
      done.push(index)
      clock.pass(8)
    })
  const lengths: number[] = []
  while (done.length < 7) {
    expect(longWork.isFree).toBe(false)
    await nextTurn()
    lengths.push(done.length)
  }
  expect(lengths).toEqual([3, 6, 7])
  expect(done).toEqual([0, 1, 2, 3, 4, 5, 6])
  expect(longWork.isFree).toBe(true)
})

test('work that takes longer than a turn may is done all the same, alone', async () => {
  const done: string[] = []
  for (const name of ['a', 'b'])
    longWork.later(() => {
      done.push(name)
      clock.pass(90)
    })
  await nextTurn()
  expect(done).toEqual(['a'])
  await nextTurn()
  expect(done).toEqual(['a', 'b'])
})

test('work that brings more of it neither loses nor repeats any', async () => {
  const done: string[] = []
  longWork.later(() => {
    done.push('first')
    longWork.later(() => done.push('second'))
  })
  await nextTurn()
  await nextTurn()
  expect(done).toEqual(['first', 'second'])
})
