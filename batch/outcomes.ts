import type { BatchId } from './batch.ts'

/** Outcomes that a keyed request can have in the store. */
export const outcomes = {
  /** It was counted. */
  applied: 'a',
  /** It was counted before, and is not counted again. */
  duplicate: 'd',
  /** Its idempotency key was used before, for something else. */
  conflict: 'c',
  /** The store has no room for another idempotency key. It was not counted. */
  full: 'f',
} as const

/** The outcomes of the keyed requests of one batch, in their order. */
export interface BatchOutcomes extends BatchId {
  readonly codes: string
}
