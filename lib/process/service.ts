import { format } from 'node:util'
import { Channel, type Port } from './channel.ts'
import { type Clock, systemClock, withDeadline } from '../clock.ts'
import { codeVersion } from './code-version.ts'
import { exitCodes, type ExitCode } from '../errors.ts'
import { Lifecycle, type Part } from './lifecycle.ts'
import { createLog, type Log, type LogOptions } from './log.ts'
import { LogOutput } from './log-output.ts'
import { Metrics, metricsText } from './metrics.ts'
import { allStopSignals, type StopSignal } from './stop-signals.ts'

/** Time after which a process publishes its own metrics rather than none. */
const siblingsTimeoutMs = 3_000

export interface ServiceContext {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** To the parent that started this process; null when it runs on its own. */
  readonly parent: Channel | null
  /** The metrics of this process, or of all its siblings if it has a parent, in Prometheus' text format. */
  metricsText(): Promise<string>
  /** Ends the process in order, with this exit code. */
  end(exitCode: ExitCode): void
}

/** How one run of a service differs from others of the same role. */
export interface ServiceRun {
  /** The name in `ps` after the program's name: `web 1`. */
  readonly process: string
  readonly isRestart: boolean
  /** Stop signals that it obeys on its own; it ignores the others. */
  readonly stopSignals: readonly StopSignal[]
  /** Tells that everything is started, where no parent does. */
  onReady?(log: Log, version: string): void
}

export interface ServiceOptions extends Omit<ServiceRun, 'isRestart'> {
  readonly logLevel: LogOptions['level']
  readonly logFormat: LogOptions['format']
  readonly stopTimeoutMs: number
  /** Makes the parts in the order in which they start; they stop in reverse. */
  parts(context: ServiceContext): Promise<readonly Part[]>
}

/**
 * Runs one long-lived process: starts its parts, waits until it is told to stop, stops them, and resolves
 * to the exit code. On its own it obeys signals. With a parent it obeys the parent, so that a signal to the
 * whole group, as from a terminal, stops the processes in the order that loses nothing; when the parent
 * dies, it stops too. What nobody caught ends it as well, but in order, so that what it holds is handed on;
 * its exit code then says that the error is ours. Rejects, with everything stopped, when a part does not
 * start.
 */
export async function runService(options: ServiceOptions, host: NodeJS.Process): Promise<ExitCode> {
  host.title = `piccolo ${options.process}`
  const version = codeVersion()
  const output = new LogOutput()
  const isTerminal = host.stdout.isTTY === true
  const { process, logLevel: level, logFormat } = options
  const log = createLog({ level, format: logFormat, process, isTerminal }, output)
  const metrics = new Metrics(process, { version, output })
  const parent = host.channel ? new Channel(host as unknown as Port) : null
  const lifecycle = new Lifecycle(systemClock, log)
  const ended = Promise.withResolvers<ExitCode>()
  const context: ServiceContext = {
    clock: systemClock,
    log,
    metrics,
    parent,
    end: ended.resolve,
    metricsText: () => siblingsMetricsText(parent, metrics),
  }
  listenForTheEnd(host, parent, options.stopSignals, ended.resolve)
  // Libraries speak there, as ioredis does of a password that Redis does not ask for.
  console.warn = (...words: unknown[]) => log.warn(format(...words))
  // Node raises rejections that nobody handles as these, too.
  host.on('uncaughtException', error => {
    log.fatal({ err: error, code: 'fault' }, 'an internal error: stopping')
    ended.resolve(exitCodes.internalError)
  })
  parent?.handle('metrics', () => metrics.snapshot())
  await lifecycle.start(await options.parts(context), options.stopTimeoutMs)
  log.info({ version }, 'started')
  parent?.emit('started')
  if (parent === null) options.onReady?.(log, version)
  const exitCode = await ended.promise
  log.info('stopping')
  const stopCode = await lifecycle.stop(options.stopTimeoutMs)
  log.info('stopped')
  return exitCode || stopCode
}

function listenForTheEnd(
  host: NodeJS.Process,
  parent: Channel | null,
  obeyed: readonly StopSignal[],
  end: (code: ExitCode) => void,
): void {
  // Ctrl-C and a hang-up reach the whole group; the parent stops its children in order.
  for (const signal of allStopSignals)
    host.on(signal, () => parent === null && obeyed.includes(signal) && end(exitCodes.done))
  if (parent === null) return
  parent.on('stop', () => end(exitCodes.done))
  parent.onClose(() => end(exitCodes.unavailable))
  host.on('SIGTERM', () => parent.emit('stop requested'))
}

async function siblingsMetricsText(parent: Channel | null, metrics: Metrics): Promise<string> {
  const own = async () => metricsText([await metrics.snapshot()])
  if (parent === null || parent.closed) return own()
  const late = () => new Error('the parent process did not answer in time')
  return withDeadline(systemClock, siblingsTimeoutMs, parent.request<string>('metrics of all'), late).catch(
    own,
  )
}
