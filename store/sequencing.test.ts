import { expect, test } from 'vitest'
import type { Batch } from '../queue/batch.ts'
import { batch, producerId } from '../test/builders.ts'
import { type Sequenced, sequenceBatches } from './sequencing.ts'

const p1 = producerId(1)

function sequence(given: {
  read?: number[]
  watermark?: number
  parked?: number[]
  gone?: boolean
}): Sequenced {
  const parked = (given.parked ?? []).map(sequence => ({ producer: p1, sequence }))
  return sequenceBatches({
    batches: (given.read ?? []).map(sequence => batch({ sequence })),
    progress: new Map([[p1, { watermark: given.watermark ?? 0, sealed: 0 }]]),
    parked,
    loadParked: ({ sequence }) => batch({ sequence }),
    gone: new Set(given.gone ? [p1] : []),
  })
}
const sequences = (batches: readonly Pick<Batch, 'sequence'>[]) => batches.map(({ sequence }) => sequence)

test('batches in order are applied and move the watermark', () => {
  const { apply, park, watermarks } = sequence({ read: [1, 2, 3] })
  expect(sequences(apply)).toEqual([1, 2, 3])
  expect(park).toEqual([])
  expect(watermarks.get(p1)).toBe(3)
})

test('a batch at or below the watermark is skipped, and its watermark is still told', () => {
  const { apply, park, watermarks } = sequence({ read: [1, 2], watermark: 2 })
  expect([...apply, ...park]).toEqual([])
  expect(watermarks.get(p1)).toBe(2)
})

test('the same batch twice in one read is applied once', () => {
  expect(sequences(sequence({ read: [1, 1, 2, 1, 2] }).apply)).toEqual([1, 2])
})

test('a batch ahead is parked, once', () => {
  const { apply, park, watermarks } = sequence({ read: [3, 3] })
  expect(apply).toEqual([])
  expect(sequences(park)).toEqual([3])
  expect(watermarks.get(p1)).toBe(0)
})

test('a batch that is parked already is not parked again', () => {
  expect(sequence({ read: [3], parked: [3] }).park).toEqual([])
})

test('what is parked is applied as soon as it is in order, and no further than the next gap', () => {
  const { apply, unpark, watermarks } = sequence({ read: [1], parked: [2, 3, 5] })
  expect(sequences(apply)).toEqual([1, 2, 3])
  expect(sequences(unpark)).toEqual([2, 3])
  expect(watermarks.get(p1)).toBe(3)
})

test('a batch that overtakes its predecessor in one read needs no parking', () => {
  const { apply, park, unpark } = sequence({ read: [2, 1] })
  expect(sequences(apply)).toEqual([1, 2])
  expect([...park, ...unpark]).toEqual([])
})

test('a parked copy of what was applied is thrown away', () => {
  const { apply, unpark } = sequence({ read: [1, 2], parked: [2] })
  expect(sequences(apply)).toEqual([1, 2])
  expect(sequences(unpark)).toEqual([2])
})

test('a producer that is gone gets its parked batches applied over the gaps, which are counted', () => {
  const { apply, unpark, missing, watermarks } = sequence({ parked: [3, 4, 7], watermark: 1, gone: true })
  expect(sequences(apply)).toEqual([3, 4, 7])
  expect(sequences(unpark)).toEqual([3, 4, 7])
  expect(missing.get(p1)).toBe(3)
  expect(watermarks.get(p1)).toBe(7)
})

test('the watermark of a producer with parked batches is told even if nothing of it was read', () => {
  expect(sequence({ parked: [3], watermark: 1 }).watermarks).toEqual(new Map([[p1, 1]]))
})
