import { type ChildProcess, fork } from 'node:child_process'
import { Channel } from '../../lib/process/channel.ts'
import { type Clock, sleep } from '../../lib/clock.ts'
import { memoryEnvironment } from './node-options.ts'
import { processNameVariable, restartVariable } from '../process-name.ts'

/** The task of a child. */
export interface Role {
  /** `web` or `consumer`. */
  readonly command: string
  /** The name in `ps` and in the log: `web 1`. */
  readonly name: string
  readonly environment: NodeJS.ProcessEnv
  /** Options for Node itself. */
  readonly nodeOptions: readonly string[]
}

export interface ChildExit {
  /** Null when a signal ended it, and when it was never there. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** Why the system did not make the process; null when it did. */
  readonly error: Error | null
}

/**
 * One child process of `piccolo up`, from its start to its end. Where the system has no descriptor or process
 * left for it, it has ended at once, with an error.
 */
export class Child {
  readonly name: string
  readonly channel: Channel
  readonly startedMs: number
  /** Resolves when the child takes up its work; never if it ends before. */
  readonly started: Promise<void>
  readonly ended: Promise<ChildExit>
  readonly #process: ChildProcess
  readonly #clock: Clock

  /** Throws what the system says that Node takes for no passing matter. */
  constructor(
    program: string,
    { command, name, environment, nodeOptions }: Role,
    clock: Clock,
    { isRestart }: { isRestart: boolean },
  ) {
    this.name = name
    this.#clock = clock
    this.startedMs = clock.monotonicMs()
    this.#process = fork(program, [command], {
      env: {
        ...memoryEnvironment,
        ...environment,
        [processNameVariable]: name,
        [restartVariable]: String(isRestart),
      },
      execArgv: [...process.execArgv, ...nodeOptions],
      serialization: 'advanced',
    })
    this.channel = new Channel(this.#process)
    this.started = new Promise(resolve => this.channel.on('started', resolve))
    this.ended = new Promise(resolve => {
      this.#process.once('exit', (code, signal) => resolve({ code, signal, error: null }))
      this.#process.on('error', error => {
        if (this.#process.pid === undefined) resolve({ code: null, signal: null, error })
      })
    })
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  /** Asks it to stop, and kills it if it has not by the deadline. */
  async stop(timeoutMs: number): Promise<ChildExit> {
    this.channel.emit('stop')
    const late = sleep(this.#clock, timeoutMs).then(() => 'late' as const)
    if ((await Promise.race([this.ended, late])) === 'late') this.#process.kill('SIGKILL')
    return this.ended
  }
}
