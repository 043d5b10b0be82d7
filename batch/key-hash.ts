/** Where the hash of a key begins: FNV-1a, 32 bits, as a signed integer. */
export const hashStart = 0x811c9dc5 | 0

/** The hash with one more byte of the key. */
export function hashStep(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, 0x01000193)
}

/** The hash of the key in `bytes` from `start` to `end`. */
export function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = hashStart
  for (let index = start; index < end; index++) hash = hashStep(hash, bytes[index]!)
  return hash
}
