/** The sequences from `first` to `last`. */
export interface SequenceRange {
  readonly first: number
  readonly last: number
}

export function isWithin(ranges: readonly SequenceRange[], sequence: number): boolean {
  return ranges.some(({ first, last }) => first <= sequence && sequence <= last)
}

/** Returns the ranges as Redis holds them: `5-7 9-9`. */
export function rangesText(ranges: readonly SequenceRange[]): string {
  return ranges.map(({ first, last }) => `${first}-${last}`).join(' ')
}

export function readRanges(text: string): SequenceRange[] {
  return [...text.matchAll(/(\d+)-(\d+)/g)].map(([, first, last]) => ({
    first: Number(first),
    last: Number(last),
  }))
}
