import type { Clock } from '../../lib/clock.ts'
import { OperationError } from '../../lib/errors.ts'
import { type Log, RepeatedError } from '../../lib/process/log.ts'
import { Checkpoints, type CheckpointParts } from './checkpoints.ts'
import { IdempotencyKeySweep, type IdempotencyKeySweepParts } from './idempotency-key-sweep.ts'

export type MaintenanceParts = CheckpointParts &
  IdempotencyKeySweepParts & { readonly clock: Clock; readonly log: Log }

/** The upkeep of the database between transactions: checkpoints, and sweeps of idempotency keys. */
export class Maintenance {
  readonly #checkpoints: Checkpoints
  readonly #idempotencyKeySweep: IdempotencyKeySweep
  readonly #checkpointError: RepeatedError
  readonly #sweepError: RepeatedError

  constructor(parts: MaintenanceParts) {
    this.#checkpoints = new Checkpoints(parts)
    this.#idempotencyKeySweep = new IdempotencyKeySweep(parts)
    this.#checkpointError = new RepeatedError(parts.log, parts.clock, 'the database log cannot be copied')
    this.#sweepError = new RepeatedError(parts.log, parts.clock, 'idempotency keys cannot be forgotten')
  }

  /** `newIdempotencyKeyCount` requests of the commit asked for room for their idempotency keys. */
  committed(newIdempotencyKeyCount: number): void {
    this.#idempotencyKeySweep.arrived(newIdempotencyKeyCount)
    this.#checkpoints.committed()
  }

  /**
   * Does what is due; see Store.maintain. A task that fails changes nothing, is tried again later, and keeps
   * no other from being done.
   */
  run(when: 'busy' | 'idle'): string[] {
    attempt(() => this.#idempotencyKeySweep.sweep(), this.#sweepError)
    attempt(() => this.#checkpoints[when](), this.#checkpointError)
    return [this.#sweepError, this.#checkpointError].flatMap(({ code, message }) =>
      code === null ? [] : [`${message}: ${code}`],
    )
  }
}

/** `work` returns whether anything was due. */
function attempt(work: () => boolean, repeated: RepeatedError): void {
  try {
    if (work()) repeated.over()
  } catch (error) {
    if (!(error instanceof OperationError)) throw error
    const { retry } = error.policy
    if (retry === 'restart' || retry === 'never') throw error
    repeated.happened(error)
  }
}
