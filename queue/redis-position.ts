import { queueError } from './errors.ts'
import type { Position } from './queue.ts'

/** What the scripts `push` and `greet` answer: pushed, applied, and outcomes as `7:ad 9:a`. */
export function readPosition(answer: unknown): Position {
  const [pushed, applied, known] = answer as [string, string, string]
  const [sequencePushed, watermark] = [Number(pushed), Number(applied)]
  if (!Number.isSafeInteger(sequencePushed) || !Number.isSafeInteger(watermark))
    throw queueError('queue_refused', `Redis answered ${JSON.stringify(answer)} where two numbers were due`)
  const outcomes = new Map<number, string>()
  for (const [, sequence, letters] of known.matchAll(/(\d+):([a-z]+)/g))
    outcomes.set(Number(sequence), letters!)
  return { pushed: sequencePushed, applied: watermark, outcomes }
}
