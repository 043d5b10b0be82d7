import { expect, test } from 'vitest'
import { createLog } from '../../lib/process/log.ts'
import { ManualClock } from '../../test/kit/manual-clock.ts'
import { Connections } from './connections.ts'
import { connectionBytesMax, NativeMemory, nativeBytesMax } from './native-memory.ts'
import { UnreadAnswers } from './write-buffers.ts'

const mebibyte = 1024 * 1024
const log = createLog({ level: 'silent', format: 'json', process: 'test', isTerminal: false })

/** A process with `held` bytes of half messages on each of its streams, beside what it has at rest. */
function world({ streamCount = 100, held = 0 } = {}) {
  const clock = new ManualClock(0)
  const connections = new Connections(1_000_000)
  const unread = new UnreadAnswers(clock, 1_000)
  const state = { streamCount, held, heap: 40 * mebibyte, other: 0 }
  const usage = () => {
    const native = 60 * mebibyte + state.streamCount * state.held + state.other
    return { rss: native + state.heap, heapTotal: state.heap - mebibyte, external: mebibyte }
  }
  const shed = () => {
    const count = Math.min(10, state.streamCount)
    state.streamCount -= count
    return count > 0
  }
  const memory = new NativeMemory({ clock, log, connections, unread, usage })
  memory.start(shed)
  return { clock, connections, unread, state, memory, look: () => memory.look(shed) }
}

test('streams are closed until what is left fits, and no new one is let in for a second', () => {
  const { state, memory, look, clock } = world()
  state.held = nativeBytesMax / 100
  look()
  expect(state.streamCount).toBe(100)
  expect(memory.hasRoom).toBe(true)
  state.held = nativeBytesMax / 50
  look()
  expect(state.streamCount).toBe(50)
  expect(memory.bytes).toBe(nativeBytesMax)
  expect(memory.hasRoom).toBe(false)
  clock.pass(1_000)
  expect(memory.hasRoom).toBe(true)
})

test('neither the heap, nor connections, nor unread answers are taken for messages', () => {
  const { state, memory, look, connections, unread } = world()
  state.heap = 3_000 * mebibyte
  connections.count = 50_000
  unread.changed(0, 60 * mebibyte)
  state.other = 50_000 * connectionBytesMax + 2 * 60 * mebibyte
  look()
  expect(memory.bytes).toBe(0)
  // Small pieces of memory are not given back when connections go.
  connections.count = 0
  look()
  expect(memory.bytes).toBe(0)
  expect(state.streamCount).toBe(100)
})

test('memory that no stream gives back is granted after a minute, as streams would be refused for ever', () => {
  const { state, memory, look, clock } = world()
  state.other = nativeBytesMax + 1
  look()
  expect(state.streamCount).toBe(0)
  expect(memory.isShort).toBe(true)
  clock.pass(61_000)
  look()
  expect(memory.isShort).toBe(false)
})
