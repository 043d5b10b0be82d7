import { beforeEach, expect, test } from 'vitest'
import { Connections } from './connections.ts'
import { EventLoopTurn } from './event-loop-turn.ts'

let connections: Connections
let turn: EventLoopTurn
const nextTurn = () => new Promise(resolve => setImmediate(resolve))

beforeEach(() => {
  connections = new Connections(100)
  turn = new EventLoopTurn(connections)
})

/** Reports whether the turn is deep after `count` requests. */
function isDeepAfter(count: number): boolean {
  for (let index = 0; index < count; index++) turn.requestCame()
  return turn.isDeep
}

test.each([
  [1, 64, false],
  [1, 65, true],
  [4, 256, false],
  [4, 257, true],
  [100, 1_025, true],
])('of %i connections, %i requests in a turn are deep: %s', (connectionCount, requestCount, isDeep) => {
  connections.count = connectionCount
  expect(isDeepAfter(requestCount)).toBe(isDeep)
})

test('each turn begins anew', async () => {
  connections.count = 1
  expect(isDeepAfter(1_000)).toBe(true)
  await nextTurn()
  expect(isDeepAfter(64)).toBe(false)
})

test('a stream that asks for it hears of the end of the turn, once', async () => {
  let ends = 0
  turn.atEnd({ endTurn: () => ends++ })
  isDeepAfter(1_000)
  await nextTurn()
  await nextTurn()
  expect(ends).toBe(1)
})
