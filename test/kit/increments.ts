import { IncrementList } from '../../intake/parse/increment-list.ts'

export interface Increment {
  readonly key: string
  readonly value: number
}

/** A list as it is read from a body: `increments(['a', 1], ['b', -2])`. */
export function increments(...pairs: readonly (readonly [key: string, value: number])[]): IncrementList {
  const list = new IncrementList()
  list.reset(new Uint8Array(Buffer.from(pairs.map(([key]) => key).join(''))))
  let start = 0
  for (const [key, value] of pairs) {
    const end = start + Buffer.byteLength(key)
    list.addUnhashed(start, end, value)
    start = end
  }
  return list
}

export function increment(key: string, value: number): IncrementList {
  return increments([key, value])
}

/** Returns the contents of a list. */
export function incrementsIn(list: IncrementList): Increment[] {
  return Array.from({ length: list.length }, (_, index) => ({
    key: list.keyAt(index),
    value: list.values[index]!,
  }))
}
