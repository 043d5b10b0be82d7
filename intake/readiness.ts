import type { Readiness } from '../lib/process/status-server.ts'

export interface ReadinessInput {
  readonly isStopping: boolean
  /** The age of the oldest increment that is not in the store. */
  readonly oldestAgeMs: number
  readonly stalenessMaxMs: number
  /** Code of the error that keeps batches from the queue; null while there is none. */
  readonly queueError: string | null
  readonly connectionReasons?: readonly string[]
  /** Files that other processes left behind; absent where nobody brings them home. */
  readonly handovers?: { readonly listingError: string | null; notes(): string[] }
}

/** Returns the reasons, if any, why a web process cannot keep its promises now. */
export function webReadiness({
  isStopping,
  oldestAgeMs,
  stalenessMaxMs,
  queueError,
  handovers,
  connectionReasons = [],
}: ReadinessInput): Readiness {
  const reasons: string[] = []
  if (isStopping) reasons.push('the process is stopping')
  if (queueError !== null) reasons.push(`batches cannot be pushed: ${queueError}`)
  if (handovers && handovers.listingError !== null)
    reasons.push(`hand-over files cannot be listed: ${handovers.listingError}`)
  if (oldestAgeMs > stalenessMaxMs)
    reasons.push(
      `the oldest increment that is not in the store is ${Math.round(oldestAgeMs)} ms old, promised are ${stalenessMaxMs} ms`,
    )
  reasons.push(...connectionReasons)
  return { reasons, notes: handovers?.notes() ?? [] }
}
