const namesMax = 3

/** Shorter ones are part of nearly every name. */
const partLengthMin = 3

/**
 * Names that may have been meant by an unknown one, in whatever case, the likeliest first; none when nothing
 * is near.
 */
export function nearestNames(given: string, known: readonly string[]): string[] {
  // Capital letters are those of names only where all names have them, as in the environment.
  const wanted = known.some(name => name !== name.toUpperCase()) ? given.toLowerCase() : given.toUpperCase()
  if (wanted.length < partLengthMin) return known.filter(name => name.startsWith(wanted)).slice(0, namesMax)
  const parts = known.filter(name => name.includes(wanted) || wanted.includes(name))
  if (parts.length > 0) return parts.slice(0, namesMax)
  const distances = known.map(name => ({ name, distance: editDistance(wanted, name) }))
  const near = distances.filter(({ distance }) => distance <= wanted.length / 3)
  return near
    .sort((one, other) => one.distance - other.distance)
    .map(({ name }) => name)
    .slice(0, 1)
}

/** Returns the end of a message; empty when no name is near. */
export function didYouMean(names: readonly string[]): string {
  return names.length === 0 ? '' : `; did you mean ${names.join(' or ')}?`
}

/** Letters to insert, to remove, to replace or to exchange with the next. */
function editDistance(from: string, to: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1]
      const isExchange = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      current[column] = Math.min(
        current[column - 1]! + 1,
        last[column]! + 1,
        last[column - 1]! + (isSame ? 0 : 1),
        isExchange ? beforeLast[column - 2]! + 1 : Number.POSITIVE_INFINITY,
      )
    }
    beforeLast = last
    last = current
  }
  return last[to.length]!
}
