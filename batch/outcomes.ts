import type { BatchId } from './batch.ts'

/** What the store made of a keyed request. */
export const outcomes = {
  /** It was counted. */
  applied: 'a',
  /** It was counted before, and is not counted again. */
  duplicate: 'd',
  /** Its key was used before, for something else. */
  conflict: 'c',
  /** The store has no room for another key. It was not counted. */
  full: 'f',
} as const

/** The outcomes of the keyed requests of one batch, in their order. */
export interface BatchOutcomes extends BatchId {
  readonly codes: string
}
