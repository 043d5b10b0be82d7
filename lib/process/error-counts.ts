/** Codes are constants of the source; this only keeps a mistake from filling the memory. */
const codesMax = 200
const otherCode = 'other'

/** Errors that this process has logged or answered, by code. */
export const errorCounts: ReadonlyMap<string, number> = new Map()

export function countError(code: string): void {
  const counts = errorCounts as Map<string, number>
  const label = counts.has(code) || counts.size < codesMax ? code : otherCode
  counts.set(label, (counts.get(label) ?? 0) + 1)
}
