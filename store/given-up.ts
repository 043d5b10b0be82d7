import type { SequenceRange } from '../batch/sequence-ranges.ts'

/** Batches that were given up and have not arrived. Of one producer they are in order and do not touch. */
export interface GivenUpRange extends SequenceRange {
  /** True when their increments are in `lost`: the next applied batch said how many there were. */
  readonly isCounted: boolean
}

/** `range` is behind all of `ranges`; nobody has said yet what was in it. */
export function withRange(ranges: readonly GivenUpRange[], { first, last }: SequenceRange): GivenUpRange[] {
  const before = ranges.at(-1)
  const touches = before !== undefined && !before.isCounted && before.last === first - 1
  return touches
    ? [...ranges.slice(0, -1), { ...before, last }]
    : [...ranges, { first, last, isCounted: false }]
}

/** It has arrived. */
export function withoutSequence(ranges: readonly GivenUpRange[], sequence: number): GivenUpRange[] {
  return ranges.flatMap(range => {
    if (sequence < range.first || sequence > range.last) return [range]
    const parts = [
      { ...range, last: sequence - 1 },
      { ...range, first: sequence + 1 },
    ]
    return parts.filter(({ first, last }) => first <= last)
  })
}

/** A batch behind all of them was applied: what is missing of the increments before it was in these. */
export function countedRanges(ranges: readonly GivenUpRange[]): readonly GivenUpRange[] {
  return ranges.every(({ isCounted }) => isCounted)
    ? ranges
    : ranges.map(range => (range.isCounted ? range : { ...range, isCounted: true }))
}
