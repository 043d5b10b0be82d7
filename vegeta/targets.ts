import { hash } from 'node:crypto'

/** All that targets depend on: the same plan makes the same targets, byte for byte. */
export interface Plan {
  readonly seed: number
  readonly targetCount: number
  /** Distinct keys, at most as many as targets. */
  readonly keyCount: number
  /** Values are from -valueMax to valueMax. */
  readonly valueMax: number
}

export interface Target {
  readonly key: string
  readonly value: bigint
  /** The body to post: `key=…&value=…`, percent-encoded. */
  readonly body: string
}

/** Text that a server easily gets wrong: it must be percent-encoded, or could be trimmed or decoded twice. */
const awkward = [' ', ...'& = + % %41 # ? / ; " \' \\ < __proto__ \u00a0'.split(' ')]
const unicode = 'é e\u0301 ß Ω ж ﬁ א ع 漢 한 ｶ € 😀 👩‍🚀 \u200b \ufeff'.split(' ')

/** The targets in the order in which vegeta sends them. Every key has one before any has a second. */
export function* targetsOf(plan: Plan): Generator<Target> {
  const valueCount = 2n * BigInt(plan.valueMax) + 1n
  for (let index = 0; index < plan.targetCount; index++) {
    const bytes = random(plan.seed, 'target', index)
    const keyIndex = index < plan.keyCount ? index : bytes.readUInt32BE(0) % plan.keyCount
    const key = keyOf(plan.seed, keyIndex)
    const value = (bytes.readBigUInt64BE(8) % valueCount) - BigInt(plan.valueMax)
    yield { key, value, body: encode(key, value, bytes[4]! % 2 === 0) }
  }
}

/**
 * A key like those of the seed project, a random UUID, so that targets of another seed have other keys. One
 * in four has text before and behind it that needs percent-encoding, one in eight has Unicode.
 */
function keyOf(seed: number, index: number): string {
  const bytes = random(seed, 'key', index)
  const hex = bytes.toString('hex', 0, 16)
  const uuid = hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, '$1-$2-4$3-a$4-$5')
  const kind = bytes[16]! % 8
  const alphabet = kind < 2 ? awkward : kind === 2 ? unicode : null
  if (alphabet === null) return uuid
  const [before, between, after] = [17, 18, 19].map(position => alphabet[bytes[position]! % alphabet.length]!)
  return `${before}${uuid}${between}${after}`
}

/** Encodes as a browser's form does, with `+` for a space, or as `encodeURIComponent` does, with `%20`. */
function encode(key: string, value: bigint, isForm: boolean): string {
  if (isForm) return new URLSearchParams({ key, value: String(value) }).toString()
  return `key=${encodeURIComponent(key)}&value=${value}`
}

/** 32 bytes that depend on nothing but the arguments; so that no key has to be kept to be drawn again. */
function random(seed: number, what: string, index: number): Buffer {
  return hash('sha256', `${seed} ${what} ${index}`, 'buffer')
}
