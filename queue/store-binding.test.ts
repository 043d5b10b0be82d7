import { expect, test } from 'vitest'
import { systemClock } from '../lib/clock.ts'
import { encodeBatch } from '../batch/writer.ts'
import { batch, producerId } from '../test/kit/builders.ts'
import { until } from '../test/kit/condition.ts'
import { EmbeddedQueue } from './embedded/embedded-queue.ts'
import { Binding } from './store-binding.ts'

test('a process that hears of a commit knows the store, though nobody asked for it', async () => {
  const queue = new EmbeddedQueue(systemClock)
  const binding = new Binding(queue)
  await binding.refresh()
  expect(binding.store).toBeNull()
  await queue.bind('the store')
  const element = encodeBatch(batch({ producer: 1, sequence: 1 }))
  await queue.push({ producer: producerId(1), sequence: 1, firstUnconfirmed: 1, element })
  const watermarks = new Map([[producerId(1), 1]])
  await queue.publish({ watermarks, parked: [], outcomes: [], discarded: [] })
  await until('it is known', () => binding.store === 'the store')
})
