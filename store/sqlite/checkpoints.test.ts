import { expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { Checkpoints, copyBytes } from './checkpoints.ts'

/** A store whose readers let `copied` bytes go at each checkpoint, and the log be emptied if `isFree`. */
function start() {
  const state = {
    nowMs: 0,
    uncopied: 0,
    copied: Number.POSITIVE_INFINITY,
    isFree: true,
    done: [] as string[],
  }
  const tookMs: number[] = []
  const checkpointed = (ms: number) => tookMs.push(ms)
  const store = {
    uncopiedBytes: () => state.uncopied,
    checkpoint(what: 'copy' | 'empty') {
      state.done.push(what)
      state.nowMs += 30
      state.uncopied = Math.max(0, state.uncopied - state.copied)
      return what === 'copy' ? state.uncopied === 0 : state.isFree
    },
  }
  const clock = { ...systemClock, monotonicMs: () => state.nowMs }
  return { state, tookMs, checkpoints: new Checkpoints({ store, clock, checkpointed }) }
}

function commit(checkpoints: Checkpoints): void {
  checkpoints.committed()
  checkpoints.busy()
}

test('the log is copied once enough has come together, and not at each commit', () => {
  const { state, checkpoints } = start()
  state.uncopied = copyBytes - 1
  commit(checkpoints)
  expect(state.done).toEqual([])
  state.uncopied = copyBytes
  commit(checkpoints)
  commit(checkpoints)
  expect(state.done).toEqual(['copy'])
  state.uncopied = copyBytes
  commit(checkpoints)
  expect(state.done).toEqual(['copy', 'copy'])
})

test('while a reader holds it back, it is tried once a second', () => {
  const { state, checkpoints } = start()
  Object.assign(state, { uncopied: 2 * copyBytes, copied: 0 })
  for (let round = 0; round < 20; round++) {
    commit(checkpoints)
    state.nowMs += 97
  }
  expect(state.done).toEqual(['copy', 'copy'])
})

test('a quiet second empties the log, once', () => {
  const { state, checkpoints } = start()
  checkpoints.idle()
  commit(checkpoints)
  state.nowMs += 999
  checkpoints.idle()
  expect(state.done).toEqual([])
  state.nowMs += 1
  for (let round = 0; round < 5; round++) {
    checkpoints.idle()
    state.nowMs += 1_000
  }
  expect(state.done).toEqual(['empty'])
})

test('a log that a reader keeps is emptied when it lets go', () => {
  const { state, checkpoints } = start()
  commit(checkpoints)
  Object.assign(state, { nowMs: 1_000, isFree: false })
  checkpoints.idle()
  checkpoints.idle()
  state.isFree = true
  state.nowMs += 1_000
  checkpoints.idle()
  state.nowMs += 1_000
  checkpoints.idle()
  expect(state.done).toEqual(['empty', 'empty'])
})

test('how long each took is told', () => {
  const { state, tookMs, checkpoints } = start()
  state.uncopied = copyBytes
  commit(checkpoints)
  expect(tookMs).toEqual([30])
})
