import { batchIdOf } from './batch.ts'
import { queueError } from './errors.ts'
import type { Element, Position, Publication } from './queue.ts'

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

/** What the hash `applied` holds, but for what nobody of us wrote there. */
export function readWatermarks(applied: Readonly<Record<string, string>>): Map<string, number> {
  const entries = Object.entries(applied).filter(([producer, watermark]) =>
    batchIdOf(`${producer} ${watermark} {`),
  )
  return new Map(entries.map(([producer, watermark]) => [producer, Number(watermark)]))
}

/** The four lists of the script `publish`, each behind the number of its items. */
export function publicationArguments(publication: Publication): (Element | number)[] {
  const { watermarks, parked, discarded, outcomes } = publication
  return [
    watermarks.size,
    ...[...watermarks].flat(),
    parked.length,
    ...parked.flatMap(({ producer, sequence }) => [producer, sequence]),
    discarded.length,
    ...discarded,
    outcomes.length,
    ...outcomes.flatMap(({ producer, sequence, letters }) => [producer, `${sequence}:${letters}`]),
  ]
}
