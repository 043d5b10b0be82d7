import type { Clock, Timer } from '../../lib/clock.ts'
import { isOutOfDescriptors, descriptorsFull } from '../../lib/process/descriptors.ts'
import { errorText, exitCodes, type ExitCode, OperationError } from '../../lib/errors.ts'
import type { Log } from '../../lib/process/log.ts'
import { Child, type ChildExit, type Role } from './child.ts'

const restartDelayMsMin = 100
const restartDelayMsMax = 5_000
/** A child that ran for so long is restarted without the delays that its earlier ends had piled up. */
const soundAfterMs = 10_000
/**
 * A signal to the whole process group reaches the children and us in any order; so look before acting on
 * theirs.
 */
const groupSignalDelayMs = 200

export interface SupervisorOptions {
  readonly program: string
  readonly clock: Clock
  readonly log: Log
  readonly stopTimeoutMs: number
  /** Connects a new child to whatever this process keeps for its children. */
  connect(child: Child): void
  /** Hears that the process does not run, though nobody asked for that, and why; null once it does again. */
  onTrouble(process: string, code: string | null): void
}

/**
 * Keeps one child process running for one role:
 *
 *     starting ──▶ running ──▶ ended ──▶ (a growing delay) ──▶ starting
 *
 * An end that only an operator can fix (bad usage, bad configuration), or an end before the child ever
 * took up its work, is reported by `failed` instead. A child that the system does not start, for want of
 * descriptors, processes or memory, is tried again for ever.
 */
export class Supervisor {
  readonly role: Role
  /** Resolves to an exit code when there is no use in starting the child again. */
  readonly failed: Promise<ExitCode>
  readonly #options: SupervisorOptions
  readonly #fail: (code: ExitCode) => void
  /** Null between two runs of the child. */
  #child: Child | null = null
  #restart: Timer | null = null
  #restartDelayMs = restartDelayMsMin
  #hasEverStarted = false
  readonly #hasStarted = Promise.withResolvers<void>()
  #isStopping = false
  /** The child was asked to stop and shall be started again. */
  #isRolling = false

  constructor(role: Role, options: SupervisorOptions) {
    this.role = role
    this.#options = options
    const { promise, resolve } = Promise.withResolvers<ExitCode>()
    this.failed = promise
    this.#fail = resolve
  }

  get child(): Child | null {
    return this.#child
  }

  /** The child ended and will be started again after a delay. */
  get isRestarting(): boolean {
    return this.#restart !== null
  }

  /**
   * Starts the child; resolves once it has taken up its work. Stays pending if it fails: see `failed`. Does
   * nothing once it was told to stop.
   */
  async start(): Promise<void> {
    if (this.#isStopping) return
    this.#spawn()
    await this.#hasStarted.promise
  }

  /** Stops the child for good. Resolves to its exit code. */
  async stop(): Promise<ExitCode> {
    this.#isStopping = true
    this.#restart?.cancel()
    if (this.#child === null) return exitCodes.done
    const { code, signal } = await this.#child.stop(this.#options.stopTimeoutMs + 1_000)
    if (code !== null) return code as ExitCode
    const fields = { role: this.role.name, code: 'stop_timeout', signal }
    this.#options.log.error(fields, 'a process did not stop in time, and was killed')
    return exitCodes.unavailable
  }

  #spawn(): void {
    const { program, clock, connect } = this.#options
    let child: Child
    try {
      child = new Child(program, this.role, clock, { isRestart: this.#hasEverStarted })
    } catch (error) {
      this.#notStarted(error)
      return
    }
    this.#child = child
    connect(child)
    child.channel.on('stop requested', () => clock.after(groupSignalDelayMs, () => this.#roll(child)))
    void child.ended.then(exit => this.#ended(child, exit))
    void child.started.then(() => {
      this.#options.onTrouble(this.role.name, null)
      this.#hasEverStarted = true
      this.#hasStarted.resolve()
    })
  }

  #roll(child: Child): void {
    if (this.#isStopping || this.#child !== child) return
    this.#isRolling = true
    void child.stop(this.#options.stopTimeoutMs + 1_000)
  }

  #notStarted(error: unknown): void {
    const { code, policy, message } = notStarted(error)
    this.#options.onTrouble(this.role.name, code)
    const delayMs = this.#restartLater()
    const fields = { role: this.role.name, code, reason: message, hint: policy.hint, delayMs }
    this.#options.log.error(fields, 'a process cannot be started, and is tried again')
  }

  #ended(child: Child, { code, signal, error }: ChildExit): void {
    const { log, clock } = this.#options
    const wasRolling = this.#isRolling
    this.#child = null
    this.#isRolling = false
    if (this.#isStopping) return
    if (error !== null) {
      this.#notStarted(error)
      return
    }
    const needsOperator = code === exitCodes.badUsage || code === exitCodes.badConfiguration
    if (needsOperator || !this.#hasEverStarted) {
      this.#fail((code || exitCodes.internalError) as ExitCode)
      return
    }
    if (clock.monotonicMs() - child.startedMs >= soundAfterMs) this.#restartDelayMs = restartDelayMsMin
    const delayMs = wasRolling ? this.#startAfter(0) : this.#restartLater()
    if (!wasRolling) this.#options.onTrouble(this.role.name, ended.code)
    const trouble = wasRolling ? {} : ended
    const fields = { role: this.role.name, ...trouble, exitCode: code, signal, delayMs }
    log.warn(fields, 'a process ended and is started again')
  }

  /** Returns the delay. */
  #restartLater(): number {
    const delayMs = this.#startAfter(this.#restartDelayMs)
    this.#restartDelayMs = Math.min(2 * delayMs, restartDelayMsMax)
    return delayMs
  }

  #startAfter(delayMs: number): number {
    this.#restart = this.#options.clock.after(delayMs, () => {
      this.#restart = null
      if (!this.#isStopping) this.#spawn()
    })
    return delayMs
  }
}

const ended = {
  code: 'process_ended',
  hint: 'its own last line in the log says why; there is none after SIGKILL, as when memory ran out',
} as const

function notStarted(error: unknown): OperationError {
  if (isOutOfDescriptors(error)) return descriptorsFull(errorText(error), error)
  const hint = 'raise the limits on processes and memory: ulimit -u, or TasksMax= and MemoryMax= of the unit'
  return new OperationError('process_not_started', { retry: 'later', hint }, errorText(error), error)
}
