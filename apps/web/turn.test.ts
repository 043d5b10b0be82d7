import { beforeEach, expect, test } from 'vitest'
import { ManualClock } from '../../test/manual-clock.ts'
import { requestUnits, type Source, Turn, type Verdict } from './turn.ts'

let clock: ManualClock
let turn: Turn
const alone = (): Source => ({ connectionCount: 1 })
const nextTurn = () => new Promise(resolve => setImmediate(resolve))

beforeEach(() => {
  clock = new ManualClock(0)
  turn = new Turn(clock)
})

/** The verdicts on requests in a row, each of which takes so long, without repetitions. */
function requests(source: Source, count: number, ms = 0): Verdict[] {
  const verdicts: Verdict[] = []
  for (let index = 0; index < count; index++) {
    const verdict = turn.spend(source, requestUnits)
    if (verdicts.at(-1) !== verdict) verdicts.push(verdict)
    clock.pass(ms)
  }
  return verdicts
}

test('a turn that is not long yet is refused to nobody', () => {
  expect(requests(alone(), 100_000)).toEqual(['fine'])
})

test('in a long one, whoever goes on is closed, and then cut', () => {
  expect(requests(alone(), 10_000, 0.1)).toEqual(['fine', 'close', 'cut'])
})

test('64 under way are always fine, however long the turn and however many connections', () => {
  const source = { connectionCount: 100 }
  requests(alone(), 500, 1)
  expect(requests(source, 100 * 64, 1)).toEqual(['fine'])
  for (let index = 0; index < 1_000; index++) expect(requests(alone(), 64, 1)).toEqual(['fine'])
})

test('however many connections there are, none of them may go on for ever', () => {
  expect(requests({ connectionCount: 50_000 }, 20_000, 0.1)).toEqual(['fine', 'close', 'cut'])
})

test('each turn begins anew, and so does the connection behind one that was closed', async () => {
  const source = alone()
  requests(source, 10_000, 0.1)
  turn.connectionClosed()
  expect(requests(source, 64)).toEqual(['fine'])
  requests(source, 10_000, 0.1)
  await nextTurn()
  expect(requests(source, 10_000)).toEqual(['fine'])
})

test('a share is never spent over several turns', async () => {
  const source = alone()
  for (let index = 0; index < 200; index++) {
    expect(requests(source, 60, 1)).toEqual(['fine'])
    await nextTurn()
  }
})

test('whoever asks for it hears of the end of the turn, once', async () => {
  let ends = 0
  const stream = { endTurn: () => ends++ }
  turn.atEnd(stream)
  requests(alone(), 1_000)
  await nextTurn()
  await nextTurn()
  expect(ends).toBe(1)
})
