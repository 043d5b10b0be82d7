import type { Clock } from '../../lib/clock.ts'

/**
 * Bytes that are committed and not yet in the database file. More are copied in fewer writes, as a page that
 * changed many times is copied once; fewer make a shorter pause.
 */
export const copyBytes = 32 * 1024 * 1024
/** While a reader holds back the copying, it is not tried at each commit. */
const retryMs = 1_000
/** The log is emptied after so long without a commit. */
const idleMs = 1_000

export interface CheckpointParts {
  readonly store: {
    checkpoint(what: 'copy' | 'empty'): boolean
    uncopiedBytes(): number
  }
  readonly clock: Clock
  /** Hears how long a checkpoint took, in ms. */
  readonly checkpointed: (ms: number) => void
}

/**
 * Moves what is committed from the write-ahead log to the database file, when nobody waits for it: after a
 * commit was published rather than inside it, and the rest in a quiet second. Readers hold it back at worst;
 * it never waits for them.
 */
export class Checkpoints {
  readonly #store: CheckpointParts['store']
  readonly #clock: Clock
  readonly #checkpointed: (ms: number) => void
  #copiedMs = Number.NEGATIVE_INFINITY
  /** The time of the last commit; null when the log has been emptied since. */
  #busyMs: number | null = null

  constructor({ store, clock, checkpointed }: CheckpointParts) {
    this.#store = store
    this.#clock = clock
    this.#checkpointed = checkpointed
  }

  committed(): void {
    this.#busyMs = this.#clock.monotonicMs()
  }

  /** Returns whether a copy was due. Throws OperationError; what is committed stays in the log then. */
  busy(): boolean {
    const now = this.#clock.monotonicMs()
    if (this.#store.uncopiedBytes() < copyBytes || this.#isHeldBack(now)) return false
    this.#run('copy')
    // Not when all of it was copied: then the next time may be at once.
    this.#copiedMs = this.#store.uncopiedBytes() > 0 ? this.#clock.monotonicMs() : Number.NEGATIVE_INFINITY
    return true
  }

  /** Empties the log after a quiet second; the rest is as for `busy`. */
  idle(): boolean {
    const now = this.#clock.monotonicMs()
    if (this.#busyMs === null || now - this.#busyMs < idleMs) return false
    // A reader may hold it back: then again in a second.
    this.#busyMs = this.#run('empty') ? null : now
    return true
  }

  #isHeldBack(now: number): boolean {
    return now - this.#copiedMs < retryMs
  }

  #run(what: 'copy' | 'empty'): boolean {
    const startedMs = this.#clock.monotonicMs()
    const isDone = this.#store.checkpoint(what)
    this.#checkpointed(this.#clock.monotonicMs() - startedMs)
    return isDone
  }
}
