import { type IncrementProblem, type ProblemCode, problemBody } from './problems.ts'
import type { Ack } from './waiting.ts'

const nine = 0x39
const zero = 0x30
const encoder = new TextEncoder()
const beforeNumber = encoder.encode('{"message":')
const behindNumber = encoder.encode(',"accepted":1,"ack":"memory"}')

/**
 * The answer to a message of one increment that is in memory: the one that is given a million times a second.
 * Its bytes are kept, and only the digits of the number are counted on: that is one byte, nine times of ten.
 */
export class UsualAnswer {
  #bytes = answerNumbered('0')
  #numberEnd = beforeNumber.length + 1

  /** Valid until the next one is counted. */
  get bytes(): Uint8Array {
    return this.#bytes
  }

  /** Goes on to the next message; the first one is number 1. */
  count(): void {
    const bytes = this.#bytes
    let index = this.#numberEnd - 1
    while (bytes[index] === nine) bytes[index--] = zero
    if (index >= beforeNumber.length) bytes[index]!++
    else this.#addDigit()
  }

  /** Behind 999 comes 1000. */
  #addDigit(): void {
    const digitCount = this.#numberEnd - beforeNumber.length + 1
    this.#bytes = answerNumbered(`1${'0'.repeat(digitCount - 1)}`)
    this.#numberEnd = beforeNumber.length + digitCount
  }
}

function answerNumbered(number: string): Uint8Array {
  return Uint8Array.of(...beforeNumber, ...encoder.encode(number), ...behindNumber)
}

/** The answer to any number of increments that are in memory. */
export function memoryText(message: number, accepted: number): string {
  return reachedText({ message, accepted, reached: 'memory', isComplete: true })
}

export interface MessageReached {
  readonly message: number
  readonly accepted: number
  readonly reached: Ack
  /** As far as was asked; otherwise the answer has the status 202. */
  readonly isComplete: boolean
}

/** The answer to a message that was counted. */
export function reachedText({ message, accepted, reached, isComplete }: MessageReached): string {
  const status = isComplete ? '' : '"status":202,'
  return `{"message":${message},${status}"accepted":${accepted},"ack":"${reached}"}`
}

/** The answer to a message of which nothing was counted: the problem details of HTTP, and its number. */
export function problemText(message: number, code: ProblemCode, errors: readonly IncrementProblem[]): string {
  return `{"message":${message},${problemBody(code, errors).slice(1)}`
}
