import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/process/log.ts'
import { queueErrors } from '../queue/errors.ts'
import { storeErrors } from '../store/errors.ts'
import type { CommitResult, Rejected } from '../store/store.ts'

/** Whoever makes up elements makes up as many as he likes: a line a second tells of them. */
const rejectedIntervalMs = 1_000
/** Producers of one transaction that are named with what was lost of them; the ledger has them all. */
const producersToldMax = 10
const lostMessage = 'increments lost: neither their producer nor the queue brings them'
const recoveredMessage = 'increments arrived that had been given up: they count'

/** Tells in the log what became of elements, in a bounded number of lines. */
export class CommitLog {
  readonly #log: Log
  readonly #clock: Clock
  /** Elements of which nothing is told yet. */
  #rejectedCount = 0
  /** The reason for the first of them. */
  #reason = ''
  #rejectedToldMs = Number.NEGATIVE_INFINITY

  constructor(log: Log, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  committed(
    { applied, rowCount, lost, recovered, setAsideCount }: CommitResult,
    rejected: readonly Rejected[],
  ): void {
    if (this.#rejectedCount === 0) this.#reason = rejected[0]?.reason ?? ''
    this.#rejectedCount += rejected.length
    this.tell()
    this.#tellEach('error', lostMessage, codeAndHint('increments_lost'), [...lost])
    this.#tellEach('warn', recoveredMessage, {}, [...recovered])
    if (setAsideCount > 0)
      this.#log.error(
        { ...codeAndHint('sums_set_aside'), sumCount: setAsideCount },
        'sums set aside: a total would leave 64 bits',
      )
    if (applied.length > 0) this.#log.debug({ batchCount: applied.length, rowCount }, 'batches committed')
  }

  /** Tells of elements that came within a second after a line. Called now and then; `isLast` at the end. */
  tell(isLast = false): void {
    const now = this.#clock.monotonicMs()
    if (this.#rejectedCount === 0 || (!isLast && now - this.#rejectedToldMs < rejectedIntervalMs)) return
    const { hint } = queueErrors.batch_corrupt
    const fields = { code: 'batch_corrupt', hint, elementCount: this.#rejectedCount, reason: this.#reason }
    this.#log.error(fields, 'elements rejected')
    this.#rejectedCount = 0
    this.#rejectedToldMs = now
  }

  #tellEach(
    level: 'error' | 'warn',
    message: string,
    fields: object,
    counts: readonly (readonly [producer: string, increments: number])[],
  ): void {
    for (const [producer, increments] of counts.slice(0, producersToldMax))
      this.#log[level]({ ...fields, producer, increments }, message)
    const more = counts.slice(producersToldMax)
    const increments = more.reduce((sum, [, each]) => sum + each, 0)
    if (more.length > 0) this.#log[level]({ ...fields, producerCount: more.length, increments }, message)
  }
}

function codeAndHint(code: 'increments_lost' | 'sums_set_aside') {
  return { code, hint: storeErrors[code].hint }
}
