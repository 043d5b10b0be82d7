import { type Batch, decodeBatch, type KeyedRequest, type ReceivedBatch, type Sum } from './batch.ts'
import { problemOfCounts } from './fields.ts'
import { elementBytesMax, batchKeysMax, countDigitsMax, keyBytesMax } from './limits.ts'
import { type SumTable, sumOf } from './sum-rows.ts'

/** The usual element up to its first key: what encodeBatch writes for a batch without keyed requests. */
const usualHead =
  /^([0-9a-f]{8,64}) ([1-9][0-9]{0,14}) \{"v":1,"oldestMs":(0|[1-9][0-9]{0,14}),"increments":(0|[1-9][0-9]{0,14}),"sealed":(0|[1-9][0-9]{0,14}),"keys":\[/
/** Longer than any such head. */
const headUnitsMax = 256
const betweenKeysAndSums = ',"sums":['

const [quote, comma, minus, zero, bracket, backslash, brace] = [34, 44, 45, 48, 93, 92, 125]
const [space, erase] = [32, 127]

/** The fields of a batch beside its keys and sums. */
export interface BatchHead {
  readonly producer: string
  readonly sequence: number
  readonly oldestMs: number
  readonly increments: number
  readonly sealed: number
}

/**
 * A batch whose keys and sums went to table. Who wants them one by one (to park it, or to leave out one
 * that was there before) has the element decoded.
 */
export class ScannedBatch implements ReceivedBatch {
  readonly producer: string
  readonly sequence: number
  readonly oldestMs: number
  readonly increments: number
  readonly sealed: number
  readonly keyed: readonly KeyedRequest[] = []
  /** The exact sum of all its sums. */
  readonly sumOfSums: bigint
  readonly element: string
  /** Null until somebody asks. */
  #decoded: Batch | null = null

  constructor(head: BatchHead, sumOfSums: bigint, element: string) {
    this.producer = head.producer
    this.sequence = head.sequence
    this.oldestMs = head.oldestMs
    this.increments = head.increments
    this.sealed = head.sealed
    this.sumOfSums = sumOfSums
    this.element = element
  }

  get keys(): readonly string[] {
    return this.#decode().keys
  }

  get sums(): readonly Sum[] {
    return this.#decode().sums
  }

  #decode(): Batch {
    this.#decoded ??= decodeBatch(this.element)
    return this.#decoded
  }
}

/**
 * Reads an element of the usual shape into `table`, several times as fast as by way of JSON.parse.
 * Returns null for any other shape, and leaves nothing there then: it is for decodeBatch to say whether that
 * is a batch. What it reads is one, by the rules of decodeBatch.
 */
export function scanElement(element: string, table: SumTable): ScannedBatch | null {
  const match = usualHead.exec(element.slice(0, headUnitsMax))
  if (match === null || element.length > elementBytesMax || !element.isWellFormed()) return null
  const [, producer, ...numbers] = match as unknown as [string, string, ...string[]]
  const [sequence, oldestMs, increments, sealed] = numbers.map(Number) as [number, number, number, number]
  const { count, end: start } = table
  const end = start + table.bytes.write(element, start)
  const sumsStart = scanKeys(table, start + match[0].length, end)
  const sumOfSums = sumsStart === null ? null : scanSums(table, count, sumsStart, end)
  const keyCount = table.count - count
  if (sumOfSums === null || problemOfCounts({ increments, sealed, keyCount, keyed: [] }) !== null) {
    table.count = count
    return null
  }
  table.end = end
  return new ScannedBatch({ producer, sequence, oldestMs, increments, sealed }, sumOfSums, element)
}

/** Returns where the first sum is; null when the keys are not of the usual shape. */
function scanKeys(table: SumTable, start: number, end: number): number | null {
  const { bytes } = table
  const countMax = table.count + batchKeysMax
  let at = start
  for (;;) {
    if (bytes[at] !== quote) return null
    const keyStart = ++at
    while (at < end && bytes[at] !== quote) {
      const byte = bytes[at++]!
      if (byte === backslash || byte < space || byte === erase) return null
    }
    const byteCount = at - keyStart
    if (at === end || byteCount === 0 || byteCount > keyBytesMax || table.count === countMax) return null
    table.add(keyStart, at, 0)
    const next = bytes[++at]
    at++
    if (next === bracket) break
    if (next !== comma) return null
  }
  const isFollowed = bytes.toString('latin1', at, at + betweenKeysAndSums.length) === betweenKeysAndSums
  return isFollowed ? at + betweenKeysAndSums.length : null
}

/** Fills in the sums from `firstRow` on; returns their sum, null when they are not of the usual shape. */
function scanSums(table: SumTable, firstRow: number, start: number, end: number): bigint | null {
  const { bytes, sums, count } = table
  let exact = 0n
  let total = 0
  let at = start
  for (let row = firstRow; row < count; row++) {
    const isNegative = bytes[at] === minus
    if (isNegative) at++
    const digitsStart = at
    let sum = 0
    for (; at < end; at++) {
      const digit = bytes[at]! - zero
      if (digit < 0 || digit > 9) break
      sum = 10 * sum + digit
    }
    const digitCount = at - digitsStart
    const isUsual =
      digitCount > 0 && digitCount <= countDigitsMax && (bytes[digitsStart] !== zero || digitCount === 1)
    if (!isUsual || bytes[at++] !== (row === count - 1 ? bracket : comma)) return null
    const signed = isNegative ? 0 - sum : sum
    sums[sumOf(row)] = signed
    total += signed
    if (!Number.isSafeInteger(total)) {
      exact += BigInt(total - signed) + BigInt(signed)
      total = 0
    }
  }
  return bytes[at] === brace && at + 1 === end ? exact + BigInt(total) : null
}
