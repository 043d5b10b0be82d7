import type { ExitCode } from '../../lib/errors.ts'
import type { OptionValues } from '../../lib/config/options.ts'
import { runService, type ServiceContext } from '../../lib/process/service.ts'
import { allStopSignals, ignoreOtherSignals } from '../../lib/process/stop-signals.ts'
import { Binding } from '../../queue/store-binding.ts'
import { openQueue } from '../../queue/open.ts'
import { flusherPart } from '../../intake/send/flusher-part.ts'
import { newLane } from '../../intake/send/lane.ts'
import { IdempotencyWindow } from '../../intake/count/idempotency-window.ts'
import { Intake } from '../../intake/count/intake.ts'
import { KeyedRequests } from '../../intake/count/keyed-requests.ts'
import type { webOptions } from '../../intake/options.ts'
import { webReadiness } from '../../intake/readiness.ts'
import { Server } from './server.ts'

type Options = OptionValues<typeof webOptions>

/**
 * A web process on Express: the same sums, batches and promises as `piccolo web`, beside any consumer. It
 * shows how small the pattern is, and is measured in bench/. Resolves to the exit code.
 */
export function runExpress(options: Options): Promise<ExitCode> {
  ignoreOtherSignals(process)
  const parts = (context: ServiceContext) => makeParts(options, context)
  return runService({ ...options, process: 'express', stopSignals: allStopSignals, parts }, process)
}

async function makeParts(options: Options, context: ServiceContext) {
  const { clock, log, metrics } = context
  const queue = await openQueue({ redis: options.redis, role: 'web', ...context })
  const { flusher, producer, ackWaiters, queueError } = newLane(queue, options, clock, log)
  const intake = new Intake(flusher, log, metrics)
  let isStopping = false
  const readiness = () =>
    webReadiness({ isStopping, oldestAgeMs: flusher.oldestAgeMs(), queueError: queueError.code, ...options })
  const server = new Server({
    ...{ intake, flusher, ackWaiters, readiness, metricsText: context.metricsText, ...options },
    keyedRequests: new KeyedRequests(),
    idempotencyWindow: new IdempotencyWindow(queue, clock),
  })
  metrics.counterOf(
    'piccolo_increments_accepted_total',
    'Increments counted',
    () => flusher.incrementsAccepted,
  )

  return [
    { name: 'queue', start: () => queue.connect(), stop: () => queue.close() },
    flusherPart({ flusher, producer, binding: new Binding(queue) }, options, log),
    {
      name: 'server',
      start: () => server.listen(options.host, options.port),
      stop: () => {
        isStopping = true
        return server.close()
      },
    },
  ]
}
