import { type Clock, withPatience } from '../../lib/clock.ts'
import { exitCodes, type ExitCode, OperationError, UsageError } from '../../lib/errors.ts'
import { RepeatedError } from '../../lib/process/log.ts'
import type { Part } from '../../lib/process/lifecycle.ts'
import type { OptionValues } from '../../lib/config/options.ts'
import { whyNotListening } from '../../lib/process/port.ts'
import { ReadinessNews } from '../../lib/process/readiness-news.ts'
import { runService, type ServiceContext, type ServiceRun } from '../../lib/process/service.ts'
import { Binding } from '../../queue/store-binding.ts'
import { openQueue } from '../../queue/open.ts'
import type { ProducerQueue } from '../../queue/queue.ts'
import { BodyMemory } from './http/request-body.ts'
import { connectionReasons, Connections } from './connections.ts'
import { checkedDescriptors } from './descriptor-check.ts'
import { flusherPart } from '../../intake/send/flusher-part.ts'
import { newLane } from '../../intake/send/lane.ts'
import { HandoverRecovery } from '../../intake/handover/handover-recovery.ts'
import { IdempotencyWindow } from '../../intake/count/idempotency-window.ts'
import { IncrementRoute } from './http/increment-route.ts'
import { KeyedRequests } from '../../intake/count/keyed-requests.ts'
import { LongWork } from './long-work.ts'
import { Intake } from '../../intake/count/intake.ts'
import type { webOptions } from '../../intake/options.ts'
import { NativeMemory } from './native-memory.ts'
import { Origins } from '../../intake/http/origins.ts'
import { publishMetrics } from './metrics.ts'
import { webReadiness } from '../../intake/readiness.ts'
import { Requests } from './http/requests.ts'
import { Siblings } from './siblings.ts'
import { Server } from './server.ts'
import { idleSecondsMax, StreamRoute } from './stream/stream-route.ts'
import { UnreadAnswers } from './write-buffers.ts'
import { EventLoopTurn } from './event-loop-turn.ts'

/** The web process: takes increments, and hands their sums to the queue. Resolves to the exit code. */
export function runWeb(options: OptionValues<typeof webOptions>, run: ServiceRun): Promise<ExitCode> {
  const parts = (context: ServiceContext) => makeParts(options, { ...context, ...run })
  return runService({ ...options, ...run, parts }, process)
}

async function makeParts(options: OptionValues<typeof webOptions>, context: ServiceContext & ServiceRun) {
  const { clock, log, metrics, parent } = context
  const queue = await openQueue({ redis: options.redis, role: 'web', ...context })
  const { flusher, producer, ackWaiters, queueError } = newLane(queue, options, clock, log)
  const { defaultAck, waitingMax, bodyBytesMax } = options
  const binding = new Binding(queue)
  const recovery = new HandoverRecovery({ place: options, queue, binding, clock, log })
  const intake = new Intake(flusher, log, metrics)
  const connections = new Connections(options.connectionsMax)
  const descriptorsError = new RepeatedError(log, clock, 'new connections have to wait')
  let isStopping = false
  const siblings = new Siblings(parent, clock, context.process)
  const ownReadiness = () =>
    webReadiness({
      isStopping,
      oldestAgeMs: Math.max(flusher.oldestAgeMs(), recovery.oldestAgeMs()),
      queueError: queueError.code,
      handovers: recovery,
      connectionReasons: connectionReasons(connections, descriptorsError.code),
      ...options,
    })
  const news = parent && new ReadinessNews(parent, clock, ownReadiness)
  const unread = new UnreadAnswers(clock, idleSecondsMax * 1000)
  const bodyMemory = new BodyMemory(bodyBytesMax)
  const memory = new NativeMemory({ clock, log, connections, unread })
  const longWork = new LongWork(clock)
  const requests = new Requests({ intake, longWork, bodyBytesMax, bodyMemory, memory })
  const limits = { bodyBytesMax, memory, defaultAck, waitingMax, origins: new Origins(options) }
  const idempotencyWindow = new IdempotencyWindow(queue, clock)
  const keyed = { keyedRequests: new KeyedRequests(), idempotencyWindow }
  const work = { ...keyed, turn: new EventLoopTurn(connections), longWork }
  const counting = { requests, intake, flusher, ackWaiters, connections, ...work, ...limits }
  const streams = new StreamRoute({ ...counting, unread, metrics })
  const server = new Server({
    status: { readiness: () => siblings.withOthers(ownReadiness()), metricsText: context.metricsText },
    ...{ intake, requests, streams, ...limits, connections, clock, descriptorsError, unread },
    descriptorsMax: checkedDescriptors(options.connectionsMax, parent === null ? log : null),
    route: new IncrementRoute(counting),
  })
  const measured = {
    flusher,
    producer,
    ackWaiters,
    connections,
    recovery,
    server,
    bodyMemory,
    memory,
    unread,
  }
  publishMetrics(metrics, measured)
  return [
    {
      name: 'queue',
      start: () => firstContact(queue, queueError),
      stop: () => queue.close(),
    },
    handoverPart(recovery, queue, { clock, stopTimeoutMs: options.stopTimeoutMs }),
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
    { name: 'readiness', start: () => news?.start(), stop: () => news?.stop() },
  ]
}

/** Its stop waits for no answer of the queue: files that are not delivered yet are there for the next one. */
function handoverPart(
  recovery: HandoverRecovery,
  queue: ProducerQueue,
  { clock, stopTimeoutMs }: { clock: Clock; stopTimeoutMs: number },
): Part {
  return {
    name: 'handovers',
    start: () => void recovery.start(),
    stop: () => withPatience(clock, stopTimeoutMs * 0.05, recovery.stop(), () => queue.close()),
  }
}

/**
 * Stops the start when the queue cannot be right. An unreachable one does not: increments are taken and wait
 * in memory, as they would if it had become unreachable a moment later.
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
