import { expect, test } from 'vitest'
import { systemClock } from '../lib/clock.ts'
import { Metrics, metricsText } from '../lib/process/metrics.ts'
import { Checkpoints, copyBytes } from './checkpoints.ts'
import { ConsumerMetrics } from './metrics.ts'

/** A store whose readers let `copied` bytes go at each checkpoint, and the log be emptied if `isFree`. */
function start() {
  const state = {
    nowMs: 0,
    uncopied: 0,
    copied: Number.POSITIVE_INFINITY,
    isFree: true,
    done: [] as string[],
  }
  const metrics = new Metrics('consumer')
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
  return { state, metrics, checkpoints: new Checkpoints(store, clock, new ConsumerMetrics(metrics)) }
}

test('the log is copied once enough has come together, and not at each commit', () => {
  const { state, checkpoints } = start()
  state.uncopied = copyBytes - 1
  checkpoints.published()
  expect(state.done).toEqual([])
  state.uncopied = copyBytes
  checkpoints.published()
  checkpoints.published()
  expect(state.done).toEqual(['copy'])
  state.uncopied = copyBytes
  checkpoints.published()
  expect(state.done).toEqual(['copy', 'copy'])
})

test('while a reader holds it back, it is tried once a second', () => {
  const { state, checkpoints } = start()
  Object.assign(state, { uncopied: 2 * copyBytes, copied: 0 })
  for (let round = 0; round < 20; round++) {
    checkpoints.published()
    state.nowMs += 97
  }
  expect(state.done).toEqual(['copy', 'copy'])
})

test('a quiet second empties the log, once', () => {
  const { state, checkpoints } = start()
  checkpoints.idle()
  checkpoints.published()
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
  checkpoints.published()
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

test('how long each took is a metric', async () => {
  const { state, metrics, checkpoints } = start()
  state.uncopied = copyBytes
  checkpoints.published()
  const text = await metricsText([await metrics.snapshot()])
  expect(text).toMatch(/piccolo_checkpoint_seconds_sum\{process="consumer"\} 0\.03\b/)
  expect(text).toMatch(/piccolo_checkpoint_seconds_count\{process="consumer"\} 1\b/)
})
