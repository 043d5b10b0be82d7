/** Bytes and escapes of the strings of JSON (RFC 8259, 7). */
export const backslash = 0x5c
const letterU = 0x75

/** The byte that an escape stands for, by the letter behind the backslash; 0 for none. */
const shortEscapes = new Uint8Array(256)
for (const [letter, byte] of Object.entries(
  JSON.parse('{"b":"\\b","f":"\\f","n":"\\n","r":"\\r","t":"\\t"}'),
))
  shortEscapes[letter.charCodeAt(0)] = String(byte).charCodeAt(0)
for (const letter of '"\\/') shortEscapes[letter.charCodeAt(0)] = letter.charCodeAt(0)

/** The number of four hexadecimal digits; -1 when they are none. */
function hexadecimal(bytes: Uint8Array, start: number): number {
  let value = 0
  for (let index = start; index < start + 4; index++) {
    const byte = bytes[index]!
    const letter = byte | 0x20
    if (byte >= 0x30 && byte <= 0x39) value = value * 16 + byte - 0x30
    else if (letter >= 0x61 && letter <= 0x66) value = value * 16 + letter - 0x57
    else return -1
  }
  return value
}

/**
 * Decodes the string literal between `start` and `end`, whose escapes are well-formed, to `target` from `at`
 * on, as UTF-8: never more bytes than the literal has. Returns the end; -1 where an escape is half of a
 * surrogate pair.
 */
export function decodeString(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): number {
  for (let index = start; index < end; index++) {
    if (bytes[index] !== backslash) {
      target[at++] = bytes[index]!
      continue
    }
    const letter = bytes[++index]!
    if (letter !== letterU) {
      target[at++] = shortEscapes[letter]!
      continue
    }
    let code = hexadecimal(bytes, index + 1)
    index += 4
    if (code >= 0xd800 && code < 0xe000) {
      const isPair = code < 0xdc00 && bytes[index + 1] === backslash && bytes[index + 2] === letterU
      const low = isPair && index + 6 < end ? hexadecimal(bytes, index + 3) : -1
      if (low < 0xdc00 || low >= 0xe000) return -1
      code = 0x10000 + (code - 0xd800) * 0x400 + low - 0xdc00
      index += 6
    }
    at = encodeUtf8(code, target, at)
  }
  return at
}

function encodeUtf8(code: number, target: Uint8Array, at: number): number {
  if (code < 0x80) {
    target[at++] = code
    return at
  }
  const continuations = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3
  const lead = continuations === 1 ? 0xc0 : continuations === 2 ? 0xe0 : 0xf0
  target[at++] = lead | (code >> (6 * continuations))
  for (let left = continuations - 1; left >= 0; left--) target[at++] = 0x80 | ((code >> (6 * left)) & 0x3f)
  return at
}

/** Returns the end of the escape whose backslash is at `start`; -1 when it is none. */
export function escapeEnd(bytes: Uint8Array, start: number, end: number): number {
  const isLong = bytes[start + 1] === letterU
  const behind = start + (isLong ? 6 : 2)
  if (behind > end) return -1
  const isEscape = isLong ? hexadecimal(bytes, start + 2) !== -1 : shortEscapes[bytes[start + 1]!] !== 0
  return isEscape ? behind : -1
}
