/** Returns keys in a deterministic, well mixed order, so that runs and peers get the same ones. */
export function shuffledKeys(count: number): string[] {
  const keys = Array.from({ length: count }, (_, index) => `test${index + 1}`)
  const random = randomBelow()
  for (let index = count - 1; index > 0; index--) {
    const other = random(index + 1)
    const key = keys[index]!
    keys[index] = keys[other]!
    keys[other] = key
  }
  return keys
}

/** Returns so many of a larger number of keys; one may come twice. */
export function sampledKeys(count: number, keyCount: number): string[] {
  const random = randomBelow()
  return Array.from({ length: count }, () => `test${random(keyCount) + 1}`)
}

/** A linear congruential generator, of which only the high bits are good: Numerical Recipes, 7.1. */
function randomBelow(): (bound: number) => number {
  let state = 1
  return bound => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * bound)
  }
}
