import { type Clock, withDeadline } from '../../lib/clock.ts'
import { type Channel, ChannelClosed } from '../../lib/process/channel.ts'
import { errorText, OperationError } from '../../lib/errors.ts'
import type { EmbeddedQueue } from './embedded-queue.ts'
import { queueError } from '../errors.ts'
import type { ConsumerQueue, ProducerQueue } from '../queue.ts'

const methods = [
  'push',
  'greet',
  'bind',
  'storeId',
  'announceWindow',
  'idempotencyWindow',
  'read',
  'publish',
  'watermarks',
  'signsOfLife',
  'forget',
  'length',
] as const satisfies readonly (keyof EmbeddedQueue)[]

/** What the queue tells those that ask for it. */
type Hint = 'pushed' | 'applied'

/** How long a child waits for the parent, which has nothing else to do. */
const answerDeadlineMs = 5_000

/** Lets the child at the other end of `channel` use the queue that lives in this process. */
export function serveEmbeddedQueue(channel: Channel, queue: EmbeddedQueue): void {
  for (const method of methods) {
    const call = queue[method].bind(queue) as (...args: unknown[]) => Promise<unknown>
    channel.handle(`queue.${method}`, (...args: unknown[]) => call(...args))
  }
  // A web process has no use for hints that something was pushed: there may be many of both.
  const hear = { pushed: queue.onPushed.bind(queue), applied: queue.onApplied.bind(queue) }
  const heard = new Set<Hint>()
  channel.on('queue.listen', (hint: Hint) => {
    if (heard.has(hint)) return
    heard.add(hint)
    channel.onClose(hear[hint](() => channel.emit(`queue.${hint}`)))
  })
}

/** The embedded queue of the parent process, at the other end of `channel`. */
export function connectEmbeddedQueue(channel: Channel, clock: Clock): ProducerQueue & ConsumerQueue {
  const call = async <T>(method: (typeof methods)[number], ...args: unknown[]): Promise<T> => {
    const late = () =>
      queueError('queue_timeout', `the parent process did not answer within ${answerDeadlineMs} ms`)
    try {
      return await withDeadline(clock, answerDeadlineMs, channel.request<T>(`queue.${method}`, ...args), late)
    } catch (error) {
      if (error instanceof OperationError) throw error
      if (error instanceof ChannelClosed) throw queueError('queue_gone', 'the parent process is gone', error)
      throw queueError('queue_refused', errorText(error), error)
    }
  }
  const listen = (hint: Hint, listener: () => void) => {
    channel.emit('queue.listen', hint)
    return channel.on(`queue.${hint}`, listener)
  }
  return {
    durable: false,
    connect: async () => {},
    push: push => call('push', push),
    greet: (producer, lowest) => call('greet', producer, lowest),
    bind: storeId => call('bind', storeId),
    storeId: () => call('storeId'),
    announceWindow: span => call('announceWindow', span),
    idempotencyWindow: () => call('idempotencyWindow'),
    read: bounds => call('read', bounds),
    publish: publication => call('publish', publication),
    watermarks: () => call('watermarks'),
    signsOfLife: producers => call('signsOfLife', producers),
    forget: silentMs => call('forget', silentMs),
    length: () => call('length'),
    onPushed: listener => listen('pushed', listener),
    onApplied: listener => listen('applied', listener),
    close: async () => {},
  }
}
