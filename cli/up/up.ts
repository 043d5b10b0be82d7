import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { checkedDescriptors } from '../../apps/web/descriptor-check.ts'
import { webOptions } from '../../intake/options.ts'
import { consumerOptions } from '../../consumer/options.ts'
import { codeVersion } from '../../lib/process/code-version.ts'
import { sleep, systemClock, withDeadline } from '../../lib/clock.ts'
import { exitCodes, type ExitCode } from '../../lib/errors.ts'
import { createLog, type Log } from '../../lib/process/log.ts'
import { LogOutput } from '../../lib/process/log-output.ts'
import { Metrics, metricsText } from '../../lib/process/metrics.ts'
import { optionsEnvironment, type OptionValues } from '../../lib/config/options.ts'
import type { Readiness } from '../../lib/process/status-server.ts'
import { stopSignals } from '../../lib/process/stop-signals.ts'
import { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import { serveEmbeddedQueue } from '../../queue/embedded/ipc.ts'
import { shownQueue, upBanner } from '../banner.ts'
import type { Child } from './child.ts'
import { command, type CommandContext } from '../command.ts'
import { takePortMark } from './instance.ts'
import { leaveQueue } from './leave-queue.ts'
import { webNodeOptions } from './node-options.ts'
import { tellQueued } from './queued-batches.ts'
import { ReadinessBoard } from './readiness-board.ts'
import { Supervisor } from './supervisor.ts'
import { upOptions } from './up-options.ts'
import { warnOfVariables } from '../variables.ts'

const { consumerPort: _, ...childConsumerOptions } = consumerOptions

const program = fileURLToPath(new URL('../main.ts', import.meta.url))
/** How long a scrape waits for one of the processes. */
const metricsTimeoutMs = 2_500

export const upCommand = command({
  name: 'up',
  parameters: [],
  summary: 'everything on this machine: web processes and the consumer',
  about: 'Without --redis the queue is in the memory of this process, and nothing else is needed.',
  options: upOptions,
  run: ({ values }, context) => runUp(values, context),
})

type Options = OptionValues<typeof upOptions>

async function runUp(options: Options, context: CommandContext): Promise<ExitCode> {
  const { environment, print, isTerminal } = context
  process.title = 'piccolo up'
  const version = codeVersion()
  const output = new LogOutput()
  const { logLevel: level, logFormat: format } = options
  const log = createLog({ level, format, process: 'up', isTerminal }, output)
  // Before anything is started: a signal that comes early is obeyed once there is something to stop.
  const stopped = new Promise<ExitCode>(resolve => {
    for (const signal of stopSignals(environment)) process.on(signal, () => resolve(exitCodes.done))
    process.on('uncaughtException', error => {
      log.fatal({ err: error, code: 'fault' }, 'an internal error: stopping')
      resolve(exitCodes.internalError)
    })
  })
  await warnOfVariables(log, context)
  const instance = await takePortMark(options.host, options.port)
  const queue = options.redis === null ? new EmbeddedQueue(systemClock) : null
  // The web processes have the same limit; one line is enough for all.
  checkedDescriptors(options.connectionsMax, log)
  const told = queue === null ? null : await tellQueued(queue, options, environment, log)
  let exitCode: ExitCode
  try {
    const metrics = new Metrics('up', { version, output })
    const supervisors = makeSupervisors(options, queue, environment, log, metrics)
    const onReady = () => {
      if (isTerminal) print(upBanner(options, version, supervisors.length - 1))
      const { host, port, database } = options
      log.info({ version, host, port, database, queue: shownQueue(options) }, 'ready')
    }
    exitCode = await serve(supervisors, { stopped, onReady, log, stopTimeoutMs: options.stopTimeoutMs })
  } catch (error) {
    log.fatal({ err: error, code: 'fault' }, 'an internal error: stopping')
    exitCode = exitCodes.internalError
  }
  // Whatever has failed until here.
  if (queue !== null) {
    const parts = { queue, place: options, clock: systemClock, timeoutMs: options.stopTimeoutMs, log }
    if (!(await leaveQueue(parts))) exitCode = exitCodes.unavailable
  }
  told?.release()
  instance.release()
  log.info('stopped')
  return exitCode
}

/** Starts all processes, and stops them in order once that is asked for or one cannot go on. */
async function serve(
  supervisors: readonly Supervisor[],
  parts: {
    readonly stopped: Promise<ExitCode>
    readonly onReady: () => void
    readonly log: Log
    readonly stopTimeoutMs: number
  },
): Promise<ExitCode> {
  const [consumer, ...webs] = supervisors
  const failed = Promise.race(supervisors.map(supervisor => supervisor.failed))
  const start = async () => {
    await consumer!.start()
    await Promise.all(webs.map(web => web.start()))
  }
  const early = await Promise.race([start(), parts.stopped, failed])
  if (early === undefined) parts.onReady()
  const exitCode = early ?? (await Promise.race([parts.stopped, failed]))
  parts.log.info('stopping')
  const stopCode = await stopInOrder(consumer!, webs, parts.stopTimeoutMs)
  return exitCode || stopCode
}

function makeSupervisors(
  options: Options,
  queue: EmbeddedQueue | null,
  environment: CommandContext['environment'],
  log: Log,
  metrics: Metrics,
): Supervisor[] {
  const supervisors: Supervisor[] = []
  const metricsOf = metricsOfAll(metrics, supervisors)
  const board = new ReadinessBoard(systemClock, all => {
    for (const { child } of supervisors) child?.channel.emit('readiness of all', all)
  })
  const connect = (child: Child) => {
    child.channel.on('readiness', (readiness: Readiness) => board.heard(child.name, readiness))
    if (queue !== null) serveEmbeddedQueue(child.channel, queue)
    child.channel.handle('metrics of all', metricsOf)
  }
  const onTrouble = board.troubled.bind(board)
  const shared = {
    program,
    clock: systemClock,
    log,
    stopTimeoutMs: options.stopTimeoutMs,
    connect,
    onTrouble,
  }
  const supervise = (command: string, name: string, own: Record<string, string>, nodeOptions: string[]) =>
    supervisors.push(
      new Supervisor({ command, name, environment: { ...environment, ...own }, nodeOptions }, shared),
    )
  supervise('consumer', 'consumer', optionsEnvironment(childConsumerOptions, options), [])
  const webCount =
    options.webProcesses === 'auto' ? Math.max(1, availableParallelism() - 1) : options.webProcesses
  for (let index = 1; index <= webCount; index++)
    supervise('web', `web ${index}`, optionsEnvironment(webOptions, options), webNodeOptions)
  for (const { role } of supervisors) board.add(role.name)
  board.start()
  return supervisors
}

/**
 * Stops the web processes first: the consumer takes what they seal in their last moments, and then empties
 * the queue. Resolves to the worst of their exit codes.
 */
async function stopInOrder(
  consumer: Supervisor,
  webs: readonly Supervisor[],
  timeoutMs: number,
): Promise<ExitCode> {
  const webCodes = await Promise.all(webs.map(web => web.stop()))
  // It may just be between two runs; what dead web processes left in the queue is its to do.
  const deadlineMs = systemClock.monotonicMs() + timeoutMs
  while (consumer.child === null && systemClock.monotonicMs() < deadlineMs && consumer.isRestarting)
    await sleep(systemClock, 20)
  return Math.max(...webCodes, await consumer.stop()) as ExitCode
}

/**
 * Returns what asks for the metrics of this process and all its children. A child that does not answer in time
 * is left out, and counted.
 */
function metricsOfAll(own: Metrics, supervisors: readonly Supervisor[]): () => Promise<string> {
  let silentCount = 0
  own.gaugeOf(
    'piccolo_processes_silent',
    'Processes whose metrics are missing here, as they did not answer in time',
    () => silentCount,
  )
  const late = () => new Error('no answer in time')
  const ask = ({ child }: Supervisor) =>
    child === null
      ? null
      : withDeadline(systemClock, metricsTimeoutMs, child.channel.request<object>('metrics'), late).catch(
          () => null,
        )
  return async () => {
    const answers = await Promise.all(supervisors.map(ask))
    const snapshots = answers.filter(answer => answer !== null)
    silentCount = answers.length - snapshots.length
    return metricsText([await own.snapshot(), ...snapshots])
  }
}
