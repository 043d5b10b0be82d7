import { describe, expect, test } from 'vitest'
import { MessageChannel } from 'node:worker_threads'
import { Channel, type Port } from '../../lib/process/channel.ts'
import { systemClock } from '../../lib/clock.ts'
import { contractBatchesMax, queueContract } from '../../test/kit/queue-contract.ts'
import { EmbeddedQueue } from './embedded-queue.ts'
import { connectEmbeddedQueue, serveEmbeddedQueue } from './ipc.ts'

describe('the embedded queue', () => {
  queueContract(async () => ({
    queue: new EmbeddedQueue(systemClock, contractBatchesMax),
    dispose: async () => {},
  }))
})

describe('the embedded queue, from a child process', () => {
  queueContract(async () => {
    const { port1, port2 } = new MessageChannel()
    serveEmbeddedQueue(new Channel(asPort(port1)), new EmbeddedQueue(systemClock, contractBatchesMax))
    const queue = connectEmbeddedQueue(new Channel(asPort(port2)), systemClock)
    return { queue, dispose: async () => port1.close() }
  })
})

test('a child hears only of what it listens to', async () => {
  const { port1, port2 } = new MessageChannel()
  const queue = new EmbeddedQueue(systemClock)
  serveEmbeddedQueue(new Channel(asPort(port1)), queue)
  const remote = connectEmbeddedQueue(new Channel(asPort(port2)), systemClock)
  const messages: unknown[] = []
  port2.on('message', message => messages.push(message))
  remote.onApplied(() => {})
  remote.onApplied(() => {})
  await remote.push({ producer: 'p', sequence: 1, firstUnconfirmed: 1, element: 'p 1 {}' })
  await remote.publish({ watermarks: new Map([['p', 1]]), parked: [], outcomes: [], discarded: [] })
  const events = messages.filter(message => (message as { kind: string }).kind === 'event')
  expect(events).toEqual([{ kind: 'event', name: 'queue.applied', args: [] }])
  port1.close()
})

function asPort(port: MessageChannel['port1']): Port {
  return {
    send(message, done) {
      port.postMessage(message)
      done?.(null)
      return true
    },
    on(event: string, listener: (message: unknown) => void) {
      port.on(event === 'disconnect' ? 'close' : event, listener)
    },
  }
}
