import type { Clock, Timer } from '../lib/clock.ts'
import { exitCodes, type ExitCode } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
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
}

/**
 * Keeps one child process running for one role:
 *
 *     starting ──▶ running ──▶ ended ──▶ (a growing delay) ──▶ starting
 *
 * An end that only an operator can mend (bad usage, bad configuration), or an end before the child ever
 * took up its work, is reported by `failed` instead.
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

  /** Starts the child; resolves once it has taken up its work. Stays pending if it fails: see `failed`. Does
   * nothing once it was told to stop. */
  async start(): Promise<void> {
    if (this.#isStopping) return
    const { program, clock, connect } = this.#options
    const child = new Child(program, this.role, clock, { isRestart: this.#hasEverStarted })
    this.#child = child
    connect(child)
    child.channel.on('stop requested', () => clock.after(groupSignalDelayMs, () => this.#roll(child)))
    void child.ended.then(exit => this.#ended(child, exit))
    await child.started
    this.#hasEverStarted = true
  }

  /** Stops the child for good. Resolves to whether it stopped in order. */
  async stop(): Promise<boolean> {
    this.#isStopping = true
    this.#restart?.cancel()
    if (this.#child === null) return true
    const { code } = await this.#child.stop(this.#options.stopTimeoutMs + 1_000)
    return code === 0
  }

  #roll(child: Child): void {
    if (this.#isStopping || this.#child !== child) return
    this.#isRolling = true
    void child.stop(this.#options.stopTimeoutMs + 1_000)
  }

  #ended(child: Child, { code, signal }: ChildExit): void {
    const { log, clock } = this.#options
    const wasRolling = this.#isRolling
    this.#child = null
    this.#isRolling = false
    if (this.#isStopping) return
    const needsOperator = code === exitCodes.badUsage || code === exitCodes.badConfiguration
    if (needsOperator || !this.#hasEverStarted) {
      this.#fail((code || exitCodes.fault) as ExitCode)
      return
    }
    if (clock.monotonicMs() - child.startedMs >= soundAfterMs) this.#restartDelayMs = restartDelayMsMin
    const delayMs = wasRolling ? 0 : this.#restartDelayMs
    if (!wasRolling) this.#restartDelayMs = Math.min(2 * this.#restartDelayMs, restartDelayMsMax)
    log.warn({ role: this.role.name, code, signal, delayMs }, 'a process ended and is started again')
    this.#restart = clock.after(delayMs, () => {
      this.#restart = null
      void this.start()
    })
  }
}
