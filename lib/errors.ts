/** Exit codes of the process; the numbers are those of sysexits.h. */
export const exitCodes = {
  done: 0,
  failed: 1,
  badUsage: 64,
  unavailable: 69,
  internalError: 70,
  badConfiguration: 78,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** A mistake in a flag, a variable or a file: one line for the person who made it, no stack trace. */
export class UsageError extends Error {
  override name = 'UsageError'
  readonly exitCode: ExitCode

  constructor(message: string, exitCode: ExitCode = exitCodes.badUsage) {
    super(message)
    this.exitCode = exitCode
  }
}

/** How an operation that failed goes on. */
export interface ErrorPolicy {
  /**
   * `soon`: try again at the next tick. `later`: try again, but give the other side a second.
   * `restart`: this process cannot go on; a fresh one can. `never`: an operator has to act first.
   */
  readonly retry: 'soon' | 'later' | 'restart' | 'never'
  /** Tells an operator what to do about it. */
  readonly hint: string
}

/** Something outside failed that a healthy program has to expect: an unreachable queue, a full disk. */
export class OperationError extends Error {
  override name = 'OperationError'
  /** Stable: documented in docs/operations.md, a label of the error metrics. */
  readonly code: string
  readonly policy: ErrorPolicy

  constructor(code: string, policy: ErrorPolicy, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.policy = policy
  }
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The message, and that of the cause where it says more. */
export function fullErrorText(error: unknown): string {
  const text = errorText(error)
  const cause = (error as { cause?: unknown } | null)?.cause
  if (cause === undefined) return text
  const causeText = fullErrorText(cause)
  if (text.includes(causeText)) return text
  return causeText.includes(text) ? causeText : `${text}: ${causeText}`
}

/** A refusal of the operating system as an OperationError; any other error as it is. */
export function classifySystemError(error: unknown): unknown {
  if (!(error instanceof Error) || typeof (error as NodeJS.ErrnoException).syscall !== 'string') return error
  const hint = 'look at the path or address that the message names: its spelling, its rights, and free space'
  return new OperationError('system_refused', { retry: 'later', hint }, fullErrorText(error), error)
}
