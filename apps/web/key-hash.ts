import { randomBytes } from 'node:crypto'

/** A key of 64 bits, fresh for each process. */
const [secretLow, secretHigh] = [randomBytes(4).readUInt32LE(), randomBytes(4).readUInt32LE()]

/**
 * HalfSipHash-1-3 of the first `byteCount` bytes in `words`; the bytes behind them in the last word are zero.
 * Clients choose the keys: with a hash that they can foresee, a few thousand chosen ones would bring the table
 * to a standstill. https://github.com/veorq/SipHash
 */
export function keyHash(words: Int32Array, byteCount: number): number {
  let v0 = secretLow | 0
  let v1 = secretHigh | 0
  let v2 = (secretLow ^ 0x6c796765) | 0
  let v3 = (secretHigh ^ 0x74656462) | 0
  const wholeWords = byteCount >>> 2
  // One round for each word, one for the length with the bytes that are left, three to end with.
  const rounds = wholeWords + 4
  for (let round = 0; round < rounds; round++) {
    let word = 0
    if (round < wholeWords) word = words[round]!
    else if (round === wholeWords) word = (byteCount << 24) | ((byteCount & 3) === 0 ? 0 : words[round]!)
    else if (round === wholeWords + 1) v2 ^= 0xff
    v3 ^= word
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= word
  }
  return v1 ^ v3
}
