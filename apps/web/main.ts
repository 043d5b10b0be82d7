import { withPatience } from '../../lib/clock.ts'
import { exitCodes, type ExitCode, OperationError, UsageError } from '../../lib/errors.ts'
import { RepeatedError } from '../../lib/log.ts'
import type { OptionValues } from '../../lib/options.ts'
import type { Metrics } from '../../lib/metrics.ts'
import { whyNotListening } from '../../lib/port.ts'
import { runService, type ServiceContext, type ServiceRun } from '../../lib/service.ts'
import { newProducerId } from '../../queue/batch.ts'
import { Binding } from '../../queue/binding.ts'
import { openQueue } from '../../queue/open.ts'
import type { ProducerQueue } from '../../queue/queue.ts'
import { BodyMemory } from './body.ts'
import { connectionReasons, Connections } from './connections.ts'
import { Courier } from './courier.ts'
import { checkedDescriptors } from './descriptors.ts'
import { Flusher } from './flusher.ts'
import { flusherPart } from './flusher-part.ts'
import { HandoverTaker } from './handover.ts'
import { IncrementRoute } from './increment-route.ts'
import { KeyedRequests } from './keyed-requests.ts'
import { LongWork } from './long-work.ts'
import { Ingest } from './ingest.ts'
import type { webOptions } from './options.ts'
import { NativeMemory } from './native-memory.ts'
import { Origins } from './origins.ts'
import { Producer } from './producer.ts'
import { webReadiness } from './readiness.ts'
import { Requests } from './requests.ts'
import { Server } from './server.ts'
import { idleSecondsMax, StreamRoute } from './stream-route.ts'
import { UnreadAnswers } from './stream-unread.ts'
import { Turn } from './turn.ts'
import { Waiting } from './waiting.ts'

/** The web process: takes increments, and hands their sums to the queue. Resolves to the exit code. */
export function runWeb(options: OptionValues<typeof webOptions>, run: ServiceRun): Promise<ExitCode> {
  const parts = (context: ServiceContext) => makeParts(options, { ...context, isRestart: run.isRestart })
  return runService({ ...options, ...run, parts }, process)
}

async function makeParts(
  options: OptionValues<typeof webOptions>,
  context: ServiceContext & { isRestart: boolean },
) {
  const { clock, log, metrics } = context
  const queue = await openQueue({ redis: options.redis, role: 'web', ...context })
  const queueError = new RepeatedError(log, clock, 'batches cannot be pushed')
  const { flushIntervalMs, keysMax, bodyBytesMax, defaultAck, waitingMax } = options
  const waiting = new Waiting(clock, options.ackTimeoutMs)
  const producer = new Producer(newProducerId())
  const courier = new Courier(producer, queue, clock, queueError, position => waiting.progress(position))
  const flusher = new Flusher({ courier, queue, clock, flushIntervalMs, keysMax, waiting })
  const binding = new Binding(queue)
  const taker = new HandoverTaker({ place: options, queue, binding, clock, log })
  const ingest = new Ingest(flusher, log, metrics)
  const connections = new Connections(options.connectionsMax)
  const descriptorsError = new RepeatedError(log, clock, 'new connections have to wait')
  let isStopping = false
  let consumerReasons: readonly string[] = []
  context.parent?.on('readiness of the consumer', (reasons: readonly string[]) => {
    consumerReasons = reasons
  })
  const readiness = () => {
    const own = webReadiness({
      isStopping,
      oldestAgeMs: Math.max(flusher.oldestAgeMs(), taker.oldestAgeMs()),
      queueError: queueError.code,
      consumerReasons,
      handovers: taker,
      ...options,
    })
    return { ...own, reasons: [...own.reasons, ...connectionReasons(connections, descriptorsError.code)] }
  }
  const unread = new UnreadAnswers(clock, idleSecondsMax * 1000)
  const bodyMemory = new BodyMemory(bodyBytesMax)
  const memory = new NativeMemory({ clock, log, connections, unread })
  const longWork = new LongWork(clock)
  const requests = new Requests({ ingest, longWork, bodyBytesMax, bodyMemory, memory })
  const limits = { bodyBytesMax, memory, defaultAck, waitingMax, origins: new Origins(options.corsOrigins) }
  const work = { keyedRequests: new KeyedRequests(), turn: new Turn(connections), longWork }
  const counting = { requests, ingest, flusher, waiting, connections, ...work, ...limits }
  const streams = new StreamRoute({ ...counting, unread, metrics })
  const server = new Server({
    status: { readiness, metricsText: context.metricsText },
    ...{ ingest, requests, streams, ...limits, connections, clock, descriptorsError, unread },
    descriptorsMax: checkedDescriptors(options.connectionsMax, context.parent === null ? log : null),
    route: new IncrementRoute(counting),
  })
  publishMetrics(metrics, { flusher, producer, waiting, connections, taker, server })
  publishMemory(metrics, { bodyMemory, memory, unread })

  return [
    {
      name: 'queue',
      start: () => firstContact(queue, queueError),
      stop: () => queue.close(),
    },
    {
      name: 'handovers',
      start: () => void taker.start(),
      stop: () => withPatience(clock, options.stopTimeoutMs * 0.05, taker.stop(), () => queue.close()),
    },
    flusherPart({ flusher, producer, binding }, options, log),
    {
      name: 'server',
      start: async () => {
        if (!server.listen(options.host, options.port)) throw await listenFailure(options.host, options.port)
        memory.start(streams.shed)
      },
      stop: () => {
        isStopping = true
        memory.stop()
        return server.drain(options.stopTimeoutMs * 0.2)
      },
    },
  ]
}

interface Measured {
  readonly flusher: Flusher
  readonly producer: Producer
  readonly waiting: Waiting
  readonly connections: Connections
  readonly taker: HandoverTaker
  readonly server: Server
}

function publishMetrics(
  metrics: Metrics,
  { flusher, producer, waiting, connections, taker, server }: Measured,
): void {
  metrics.counterOf(
    'piccolo_increments_accepted_total',
    'Increments counted',
    () => flusher.incrementsAccepted,
  )
  metrics.gaugeOf('piccolo_keys_waiting', 'Distinct keys not yet in a batch', () => flusher.keyCount)
  metrics.gaugeOf(
    'piccolo_batches_unconfirmed',
    'Batches sealed and not yet in the store',
    () => producer.unconfirmed.length,
  )
  metrics.gaugeOf(
    'piccolo_increments_unconfirmed',
    'Increments in them',
    () => producer.unconfirmedIncrements,
  )
  metrics.gaugeOf(
    'piccolo_oldest_unconfirmed_seconds',
    'Age of the oldest increment that is not in the store',
    () => flusher.oldestAgeMs() / 1000,
  )
  metrics.gaugeOf(
    'piccolo_requests_waiting',
    'Requests that wait for queued or committed',
    () => waiting.count,
  )
  metrics.gaugeOf(
    'piccolo_handovers_left',
    'Hand-over files that stay where they are until somebody acts',
    () => taker.leftCount,
  )
  metrics.gaugeOf('piccolo_connections', 'Open HTTP connections', () => connections.count)
  metrics.gaugeOf('piccolo_listening', '1 while new connections are taken', () => Number(server.isListening))
  metrics.gaugeOf(
    'piccolo_unconfirmed_bytes',
    'Size of the batches sealed and not yet in the store',
    () => producer.unconfirmedBytes,
  )
}

function publishMemory(
  metrics: Metrics,
  { bodyMemory, memory, unread }: { bodyMemory: BodyMemory; memory: NativeMemory; unread: UnreadAnswers },
): void {
  metrics.gaugeOf(
    'piccolo_unfinished_body_bytes',
    'What has come of bodies that are not complete',
    () => bodyMemory.bytes,
  )
  metrics.gaugeOf(
    'piccolo_unfinished_message_bytes',
    'What messages of streams that are not complete take, as measured',
    () => memory.bytes,
  )
  metrics.gaugeOf('piccolo_unread_bytes', 'Answers that clients do not read', () => unread.bytes)
}

/**
 * A queue that cannot be right stops the start. One that is away does not: increments are taken and wait in
 * memory, as they would if it had gone away a moment later.
 */
async function firstContact(queue: ProducerQueue, queueError: RepeatedError): Promise<void> {
  try {
    await queue.connect()
  } catch (error) {
    if (!(error instanceof OperationError) || error.policy.retry === 'never') throw error
    queueError.happened(error)
  }
}

async function listenFailure(host: string, port: number): Promise<UsageError> {
  const reason = (await whyNotListening(host, port)) ?? 'the operating system refused it'
  return new UsageError(`cannot listen on ${host} port ${port}: ${reason}`, exitCodes.badConfiguration)
}
