import { asBuffer } from './body.ts'

const slotCount = 65_536

/** By hash; a key stays until another one with the same hash takes its place. */
const keys: string[] = Array(slotCount).fill('')
/**
 * The hash that last missed a slot. Only a key that comes a second time is kept: of a flood of new keys, each
 * of which would drive out another, none outlives its request, and the collector has nothing to move.
 */
const missed = new Int32Array(slotCount)

/**
 * The text of an ASCII key in `bytes` from `start` to `end`. Counters are hot: where the same key came
 * lately, its text is taken from here, which is cheaper than to make it anew and to hash it once more.
 */
export function asciiKey(bytes: Uint8Array, start: number, end: number, hash: number): string {
  const slot = hash & (slotCount - 1)
  const known = keys[slot]!
  if (isSame(known, bytes, start, end)) return known
  const key = asBuffer(bytes).toString('latin1', start, end)
  if (missed[slot] === hash) keys[slot] = key
  else missed[slot] = hash
  return key
}

function isSame(key: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (key.length !== end - start) return false
  for (let index = 0; index < key.length; index++)
    if (key.charCodeAt(index) !== bytes[start + index]) return false
  return true
}
