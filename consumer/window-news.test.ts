import { expect, test } from 'vitest'
import { EmbeddedQueue } from '../queue/embedded/embedded-queue.ts'
import { windowAnnouncedMs } from '../queue/limits.ts'
import { ManualClock } from '../test/kit/manual-clock.ts'
import { WindowNews } from './window-news.ts'

test('the window is announced at once and before it is over, whether that worked or not, until the stop', async () => {
  const clock = new ManualClock(0)
  const queue = new EmbeddedQueue(clock)
  const heard: string[] = []
  queue.announceWindow = async span => {
    heard.push(span)
    if (heard.length === 2) throw new Error('the queue is away')
  }
  const news = new WindowNews(queue, clock, '24h')
  await news.start()
  expect(heard).toEqual(['24h'])
  for (let times = 2; times < 5; times++) {
    clock.pass(windowAnnouncedMs / 2)
    expect(heard).toHaveLength(times)
  }
  news.stop()
  clock.pass(windowAnnouncedMs)
  expect(heard).toHaveLength(4)
  expect(clock.timers).toEqual([])
})
