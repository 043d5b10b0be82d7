import { type IncrementProblem, type ProblemCode, problemBody } from '../../../intake/parse/problems.ts'
import type { Ack } from '../../../intake/send/ack-waiters.ts'

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

  /** Makes room for one more digit: 999 is followed by 1000. */
  #addDigit(): void {
    const digitCount = this.#numberEnd - beforeNumber.length + 1
    this.#bytes = answerNumbered(`1${'0'.repeat(digitCount - 1)}`)
    this.#numberEnd = beforeNumber.length + digitCount
  }
}

function answerNumbered(number: string): Uint8Array {
  return Uint8Array.of(...beforeNumber, ...encoder.encode(number), ...behindNumber)
}

/** Messages in a row that were counted. */
export interface MessagesCounted {
  /** Number of the last one. */
  message: number
  messages: number
  /** Increments of all of them. */
  accepted: number
}

export interface AnswerForm {
  readonly reached: Ack
  /** The ack that was asked for was reached; otherwise the answer has the status 202. */
  readonly isComplete: boolean
  /** The answer may be to several messages, and says to how many. */
  readonly isJoined: boolean
}

/** The answer to messages that were counted. */
export function countedText(
  { message, messages, accepted }: MessagesCounted,
  { reached, isComplete, isJoined }: AnswerForm,
): string {
  const status = isComplete ? '' : '"status":202,'
  const joined = isJoined ? `"messages":${messages},` : ''
  return `{"message":${message},${joined}${status}"accepted":${accepted},"ack":"${reached}"}`
}

/** Returns the answer to a message that was refused: the problem details of HTTP, and its number. */
export function problemText(message: number, code: ProblemCode, errors: readonly IncrementProblem[]): string {
  return `{"message":${message},${problemBody(code, errors).slice(1)}`
}
