import { type LogFn, type Logger, pino, stdSerializers } from 'pino'
import { prettyFactory } from 'pino-pretty'
import type { Clock } from '../clock.ts'
import { classified } from './descriptors.ts'
import { countError } from './error-counts.ts'
import { fullErrorText, OperationError, UsageError } from '../errors.ts'
import { LogOutput } from './log-output.ts'

export type Log = Logger

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export const logFormats = ['auto', 'pretty', 'json'] as const

export interface LogOptions {
  readonly level: (typeof logLevels)[number]
  /** `auto` is pretty on a terminal and JSON otherwise. */
  readonly format: (typeof logFormats)[number]
  /** Which process writes, as `ps` shows it: `web 1`. */
  readonly process: string
  readonly isTerminal: boolean
}

/** One event a line on `output`, with a constant message and fields that carry their units. */
export function createLog(
  { level, format, process, isTerminal }: LogOptions,
  output: LogOutput = new LogOutput(),
): Log {
  const settings = {
    // Below it nothing is counted.
    level: pino.levels.values[level]! <= warnLevel ? level : 'warn',
    base: { process },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: shownError },
    hooks: { logMethod: counting(pino.levels.values[level] ?? Number.POSITIVE_INFINITY) },
  }
  if (format === 'json' || (format === 'auto' && !isTerminal)) return pino(settings, output)
  const settingsPretty = {
    colorize: isTerminal,
    ignore: 'process',
    messageFormat: '{process}: {msg}',
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
  }
  const prettyInternalError = prettyFactory(settingsPretty)
  const pretty = prettyFactory({
    ...settingsPretty,
    errorLikeObjectKeys: [],
    customPrettifiers: { err: error => (error as unknown as Error).message },
  })
  return pino(settings, {
    write: line => output.write((line.includes('"stack":') ? prettyInternalError : pretty)(line)),
  })
}

/** Says that RepeatedError has counted it, which counts what it does not log, too. */
const counted = Symbol('counted')
const warnLevel = 40

/** Counts each error that is logged, and shows what is of `levelMin` or more severe. */
function counting(levelMin: number) {
  return function (this: Logger, args: Parameters<LogFn>, method: LogFn, level: number): void {
    const fields = args[0] as { code?: unknown; err?: unknown; [counted]?: true } | string
    if (level >= warnLevel && typeof fields === 'object' && !fields[counted]) {
      const code = fields.code ?? (fields.err === undefined ? undefined : codeOf(fields.err))
      if (typeof code === 'string') countError(code)
    }
    if (level >= levelMin) method.apply(this, args)
  }
}

function codeOf(error: unknown): string {
  return error instanceof OperationError ? error.code : 'fault'
}

/** Only a bug of ours has a stack: what an operator has to do with is said in one line. */
function shownError(error: Error): object {
  return error instanceof OperationError || error instanceof UsageError
    ? { type: error.name, message: fullErrorText(error) }
    : stdSerializers.err(error)
}

const repeatIntervalMs = 10_000

/**
 * Logs an error that keeps coming back once per interval, with the number of times it was held back.
 * Say `over()` when the operation works again: the next error is then logged at once, and so is the recovery.
 */
export class RepeatedError {
  readonly #log: Log
  readonly #clock: Clock
  /** Says what does not work. */
  readonly message: string
  /** Code of the error that is going on; null when the last attempt worked. */
  #code: string | null = null
  #loggedMs = 0
  #suppressed = 0

  constructor(log: Log, clock: Clock, message: string) {
    this.#log = log
    this.#clock = clock
    this.message = message
  }

  /** Code of the error that is going on; null when the last attempt worked. */
  get code(): string | null {
    return this.#code
  }

  happened(what: unknown): void {
    const error = classified(what)
    const code = codeOf(error)
    countError(code)
    const now = this.#clock.monotonicMs()
    if (code === this.#code && now - this.#loggedMs < repeatIntervalMs) {
      this.#suppressed++
      return
    }
    const hint = error instanceof OperationError ? error.policy.hint : undefined
    const fields = { code, hint, suppressed: this.#suppressed, err: error, [counted]: true }
    this.#log.error(fields, this.message)
    this.#code = code
    this.#loggedMs = now
    this.#suppressed = 0
  }

  over(): void {
    if (this.#code === null) return
    this.#log.info({ code: this.#code, suppressed: this.#suppressed }, `${this.message}: over`)
    this.#code = null
    this.#suppressed = 0
  }
}
