import { type Clock, withDeadline } from '../../lib/clock.ts'
import { type Channel, ChannelClosed } from '../../lib/process/channel.ts'
import { errorText, OperationError } from '../../lib/errors.ts'
import type { EmbeddedQueue } from './embedded-queue.ts'
import { queueError } from '../errors.ts'
import type { BatchOutcomes } from '../../batch/outcomes.ts'
import type { ConsumerQueue, ProducerQueue, Publication, Push } from '../queue.ts'

// The names on the channel, of calls and of what is sent, are those of version 1.0: a child may be newer than
// its parent, which an upgrade leaves running.

const sameNames = [
  'bind',
  'storeId',
  'announceWindow',
  'idempotencyWindow',
  'read',
  'watermarks',
  'forget',
  'length',
] as const satisfies readonly (keyof EmbeddedQueue)[]

type Call = (typeof sameNames)[number] | 'push' | 'greet' | 'publish' | 'signsOfLife'

type SentPush = Omit<Push, 'firstUnconfirmed'> & { readonly lowest: number }
type SentOutcomes = Omit<BatchOutcomes, 'codes'> & { readonly letters: string }
type SentPublication = Omit<Publication, 'outcomes'> & { readonly outcomes: readonly SentOutcomes[] }

/** The wake-ups that the queue gives its listeners. */
type WakeUp = 'pushed' | 'applied'

/** How long a child waits for the parent, which has nothing else to do. */
const answerDeadlineMs = 5_000

/** Lets the child at the other end of `channel` use the queue that lives in this process. */
export function serveEmbeddedQueue(channel: Channel, queue: EmbeddedQueue): void {
  for (const name of sameNames) {
    const call = queue[name].bind(queue) as (...args: unknown[]) => Promise<unknown>
    channel.handle(`queue.${name}`, (...args: unknown[]) => call(...args))
  }
  channel.handle('queue.greet', (producer: string, lowest: number) => queue.heartbeat(producer, lowest))
  channel.handle('queue.signsOfLife', (producers: readonly string[]) => queue.heartbeats(producers))
  channel.handle('queue.push', ({ lowest, ...push }: SentPush) =>
    queue.push({ ...push, firstUnconfirmed: lowest }),
  )
  channel.handle('queue.publish', ({ outcomes, ...publication }: SentPublication) =>
    queue.publish({
      ...publication,
      outcomes: outcomes.map(({ letters, ...batch }) => ({ ...batch, codes: letters })),
    }),
  )
  // A web process has no use for wake-ups that something was pushed: there may be many of both.
  const hear = { pushed: queue.onPushed.bind(queue), applied: queue.onApplied.bind(queue) }
  const heard = new Set<WakeUp>()
  channel.on('queue.listen', (wakeUp: WakeUp) => {
    if (heard.has(wakeUp)) return
    heard.add(wakeUp)
    channel.onClose(hear[wakeUp](() => channel.emit(`queue.${wakeUp}`)))
  })
}

/** The embedded queue of the parent process, at the other end of `channel`. */
export function connectEmbeddedQueue(channel: Channel, clock: Clock): ProducerQueue & ConsumerQueue {
  const call = async <T>(name: Call, ...args: unknown[]): Promise<T> => {
    const late = () =>
      queueError('queue_timeout', `the parent process did not answer within ${answerDeadlineMs} ms`)
    try {
      return await withDeadline(clock, answerDeadlineMs, channel.request<T>(`queue.${name}`, ...args), late)
    } catch (error) {
      if (error instanceof OperationError) throw error
      if (error instanceof ChannelClosed) throw queueError('queue_gone', 'the parent process is gone', error)
      throw queueError('queue_refused', errorText(error), error)
    }
  }
  const listen = (wakeUp: WakeUp, listener: () => void) => {
    channel.emit('queue.listen', wakeUp)
    return channel.on(`queue.${wakeUp}`, listener)
  }
  return {
    durable: false,
    connect: async () => {},
    push: ({ firstUnconfirmed, ...push }) =>
      call('push', { ...push, lowest: firstUnconfirmed } satisfies SentPush),
    heartbeat: (producer, firstUnconfirmed) => call('greet', producer, firstUnconfirmed),
    bind: storeId => call('bind', storeId),
    storeId: () => call('storeId'),
    announceWindow: span => call('announceWindow', span),
    idempotencyWindow: () => call('idempotencyWindow'),
    read: bounds => call('read', bounds),
    publish: ({ outcomes, ...publication }) =>
      call('publish', {
        ...publication,
        outcomes: outcomes.map(({ codes, ...batch }) => ({ ...batch, letters: codes })),
      } satisfies SentPublication),
    watermarks: () => call('watermarks'),
    heartbeats: producers => call('signsOfLife', producers),
    forget: silentMs => call('forget', silentMs),
    length: () => call('length'),
    onPushed: listener => listen('pushed', listener),
    onApplied: listener => listen('applied', listener),
    close: async () => {},
  }
}
