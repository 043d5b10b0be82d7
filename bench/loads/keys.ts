/** Deterministic and well mixed, so that runs and rivals get the same keys in the same order. */
export function shuffledKeys(count: number): string[] {
  const keys = Array.from({ length: count }, (_, index) => `test${index + 1}`)
  let state = 1
  for (let index = count - 1; index > 0; index--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const other = state % (index + 1)
    const key = keys[index]!
    keys[index] = keys[other]!
    keys[other] = key
  }
  return keys
}
