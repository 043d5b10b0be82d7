import { batchIdOf, type Element } from '../../batch/batch.ts'
import { isCount } from '../../batch/fields.ts'
import { queueError } from '../errors.ts'
import type { GivenUp, Position, Publication } from '../queue.ts'
import { rangesText, readRanges } from '../../batch/sequence-ranges.ts'

/**
 * Reads the answer of the scripts `push` and `heartbeat`: pushed, applied, outcomes as `7:ad 9:a`, and ranges
 * that were given up as `5-7 9-9 +6`.
 */
export function readPosition(answer: unknown): Position {
  const [pushed, applied, known, givenUp] = answer as [string, string, string, string]
  const [sequencePushed, watermark] = [Number(pushed), Number(applied)]
  if (!isCount(sequencePushed) || !isCount(watermark))
    throw queueError('queue_refused', `Redis answered ${JSON.stringify(answer)} where two numbers were due`)
  const outcomes = new Map<number, string>()
  for (const [, sequence, codes] of known.matchAll(/(\d+):([a-z]+)/g)) outcomes.set(Number(sequence), codes!)
  const position = { pushed: sequencePushed, applied: watermark, outcomes }
  return givenUp === '' ? position : { ...position, givenUp: readGivenUp(givenUp) }
}

function readGivenUp(text: string): GivenUp {
  const queued = [...text.matchAll(/\+(\d+)/g)].map(([, sequence]) => Number(sequence))
  return { ranges: readRanges(text), queued: new Set(queued) }
}

/** The five lists of the script `publish`, each behind the number of its items. */
export function publicationArguments(publication: Publication): (Element | number)[] {
  const { watermarks, parked, discarded, outcomes, givenUp = new Map() } = publication
  return [
    watermarks.size,
    ...[...watermarks].flat(),
    parked.length,
    ...parked.flatMap(({ producer, sequence }) => [producer, sequence]),
    discarded.length,
    ...discarded,
    outcomes.length,
    ...outcomes.flatMap(({ producer, sequence, codes }) => [producer, `${sequence}:${codes}`]),
    givenUp.size,
    ...[...givenUp].flatMap(([producer, ranges]) => [producer, rangesText(ranges)]),
  ]
}

/** Reads a hash of watermarks, without the entries that cannot be ours. */
export function readWatermarks(hash: Readonly<Record<string, string>>): Map<string, number> {
  const entries = Object.entries(hash).filter(([producer, watermark]) =>
    batchIdOf(`${producer} ${watermark} {`),
  )
  return new Map(entries.map(([producer, watermark]) => [producer, Number(watermark)]))
}
