import { beforeEach, expect, test } from 'vitest'
import { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import { ManualClock } from '../../test/kit/manual-clock.ts'
import { IdempotencyWindow } from './idempotency-window.ts'

let clock: ManualClock
let queue: EmbeddedQueue
let window: IdempotencyWindow
beforeEach(() => {
  clock = new ManualClock(0)
  queue = new EmbeddedQueue(clock)
  window = new IdempotencyWindow(queue, clock)
})

async function asked(): Promise<string | null> {
  window.ask()
  await new Promise(resolve => setImmediate(resolve))
  return window.span
}

test('a window that no consumer has announced is not known, and is asked for soon again', async () => {
  expect(await asked()).toBe(null)
  await queue.announceWindow('24h')
  expect(await asked()).toBe(null)
  clock.pass(100)
  expect(await asked()).toBe('24h')
})

test('another window is heard of after some seconds', async () => {
  await queue.announceWindow('24h')
  expect(await asked()).toBe('24h')
  await queue.announceWindow('90s')
  expect(await asked()).toBe('24h')
  clock.pass(5_000)
  expect(await asked()).toBe('90s')
})

test.each(['', 'x', '24h\r\nSet-Cookie: a=b', '24h\n', ' 24h', '-1h', `${'9'.repeat(10)}s`])(
  '%j is no window, whoever wrote it',
  async span => {
    await queue.announceWindow(span)
    expect(await asked()).toBe(null)
  },
)

test('a known window stays known while the queue is unreachable', async () => {
  await queue.announceWindow('24h')
  expect(await asked()).toBe('24h')
  queue.idempotencyWindow = () => Promise.reject(new Error('away'))
  clock.pass(60_000)
  expect(await asked()).toBe('24h')
})
