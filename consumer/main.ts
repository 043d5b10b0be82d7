import { type Clock, withPatience } from '../lib/clock.ts'
import { type ExitCode, exitCodes, OperationError, UsageError } from '../lib/errors.ts'
import type { Part } from '../lib/process/lifecycle.ts'
import { type Log, RepeatedError } from '../lib/process/log.ts'
import type { Metrics } from '../lib/process/metrics.ts'
import { durationMs, type OptionValues } from '../lib/config/options.ts'
import { whyNotListening } from '../lib/process/port.ts'
import { ReadinessNews } from '../lib/process/readiness-news.ts'
import { runService, type ServiceContext, type ServiceRun } from '../lib/process/service.ts'
import { StatusServer } from '../lib/process/status-server.ts'
import { passingError } from '../queue/errors.ts'
import { openQueue } from '../queue/open.ts'
import type { ConsumerQueue } from '../queue/queue.ts'
import { openStore } from '../store/open.ts'
import type { Store } from '../store/store.ts'
import { bindShard } from './bind-shard.ts'
import { Consumer } from './consumer.ts'
import { FailureDetector } from './failure-detector.ts'
import { ConsumerMetrics } from './metrics.ts'
import type { consumerOptions } from './options.ts'
import { WindowNews } from './window-news.ts'

const ledgerGauges = [
  ['piccolo_ledger_sealed_increments', 'Ledger: sealed by producers, up to their watermarks', 'sealed'],
  ['piccolo_ledger_applied_increments', 'Ledger: added to totals', 'applied'],
  ['piccolo_ledger_duplicate_increments', 'Ledger: of repeated requests, not added again', 'duplicate'],
  ['piccolo_ledger_lost_increments', 'Ledger: neither queue nor producer could bring them', 'lost'],
] as const

type Options = OptionValues<typeof consumerOptions>

/** The ways in which one run of the consumer differs from others. */
interface ConsumerRun extends ServiceRun {
  /** Makes the question whether batches of a producer may still come, that are not in the queue. */
  mayArrive(clock: Clock, log: Log): (producer: string) => boolean
}

/** The consumer: the one process that writes the database. Resolves to the exit code. */
export function runConsumer(options: Options, run: ConsumerRun): Promise<ExitCode> {
  const parts = (context: ServiceContext) => makeParts(options, run, context)
  return runService({ ...options, ...run, parts }, process)
}

async function makeParts(
  options: Options,
  { isRestart, mayArrive }: ConsumerRun,
  context: ServiceContext,
): Promise<readonly Part[]> {
  const { clock, log, metrics } = context
  const queue = await openQueue({ redis: options.redis, role: 'consumer', ...context })
  // One that was there is not made anew because it is away.
  const { idempotencyKeysMax } = options
  const idempotencyWindowMs = durationMs(options.idempotencyWindow)
  const storeParts = { clock, log, metrics, idempotencyWindowMs, idempotencyKeysMax }
  const store = await openStore(options.database, { ...storeParts, mustExist: isRestart })
  const failureDetector = new FailureDetector(clock, options.producerGoneAfterMs, mayArrive(clock, log))
  const consumer = new Consumer({
    queue,
    store,
    clock,
    log,
    failureDetector,
    metrics: new ConsumerMetrics(metrics),
  })
  const windowNews = new WindowNews(queue, clock, options.idempotencyWindow)
  publishGauges(metrics, queue, store)
  let endCode: string | null = null
  const readiness = () => {
    const { reasons } = consumer.readiness()
    return { reasons: endCode === null ? reasons : [...reasons, `the consumer cannot go on: ${endCode}`] }
  }
  const statusError = new RepeatedError(log, clock, 'the consumer port cannot take connections')
  const status = new StatusServer({ readiness, metricsText: context.metricsText }, error =>
    statusError.happened(error),
  )
  const news = context.parent && new ReadinessNews(context.parent, clock, readiness)
  const hasPort = context.parent === null && options.consumerPort > 0

  return [
    { name: 'store', stop: () => store.close() },
    {
      name: 'queue',
      start: () => bindAtStart(queue, store, { acceptOlderStore: options.acceptOlderStore, log, isRestart }),
      stop: () => queue.close(),
    },
    // This starts before the consumer decides about any idempotency key.
    { name: 'window news', start: () => windowNews.start(), stop: () => windowNews.stop() },
    {
      name: 'consumer',
      start: () => {
        consumer.run().catch(error => {
          endCode = codeOf(error)
          news?.tell()
          context.end(exitCodeOf(error))
          log.fatal({ err: error, code: codeOf(error), hint: hintOf(error) }, 'the consumer cannot go on')
        })
      },
      stop: () => {
        const stopped = consumer.stop(options.stopTimeoutMs * 0.5).catch(() => {})
        return withPatience(clock, options.stopTimeoutMs * 0.8, stopped, () => queue.close())
      },
    },
    { name: 'readiness', start: () => news?.start(), stop: () => news?.stop() },
    {
      name: 'status server',
      start: () => (hasPort ? listen(status, options) : undefined),
      stop: () => (hasPort ? status.close() : undefined),
    },
  ]
}

function publishGauges(metrics: Metrics, queue: ConsumerQueue, store: Store): void {
  metrics.gaugeOf('piccolo_queue_batches', 'Batches in the queue', () =>
    queue.length().catch(() => Number.NaN),
  )
  const parkedCount = async () => (await store.parked()).length
  metrics.gaugeOf('piccolo_batches_parked', 'Batches that wait in the store for one before them', parkedCount)
  for (const [name, help, state] of ledgerGauges)
    metrics.gaugeOf(name, help, async () => (await store.account())[state])
}

/** Binds the shard. A refusal while the service runs may pass: it must not stop the web processes. */
async function bindAtStart(
  queue: ConsumerQueue,
  store: Store,
  { isRestart, ...options }: { acceptOlderStore: boolean; log: Log; isRestart: boolean },
): Promise<void> {
  try {
    await bindShard(queue, store, options)
  } catch (error) {
    throw isRestart && error instanceof OperationError ? passingError(error) : error
  }
}

async function listen(status: StatusServer, { host, consumerPort }: Options): Promise<void> {
  const reason = await whyNotListening(host, consumerPort)
  if (reason !== null) {
    const exitCode = exitCodes.badConfiguration
    throw new UsageError(
      `--consumer-port: cannot listen on ${host} port ${consumerPort}: ${reason}`,
      exitCode,
    )
  }
  await status.listen(consumerPort, host)
}

/** An error that only an operator can fix must not be tried again and again. */
function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof OperationError)) return exitCodes.internalError
  if (error.code === 'queue_gone') return exitCodes.unavailable
  return error.policy.retry === 'never' ? exitCodes.badConfiguration : exitCodes.unavailable
}

function codeOf(error: unknown): string {
  return error instanceof OperationError ? error.code : 'fault'
}

function hintOf(error: unknown): string | undefined {
  return error instanceof OperationError ? error.policy.hint : undefined
}
