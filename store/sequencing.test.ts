import { expect, test } from 'vitest'
import type { Batch, BatchId } from '../batch/batch.ts'
import { batch, producerId } from '../test/kit/builders.ts'
import { type Sequenced, sequenceBatches } from './sequencing.ts'

const p1 = producerId(1)

function sequence(given: {
  read?: number[]
  watermark?: number
  parked?: number[]
  isPresumedDead?: boolean
  givenUp?: [number, number][]
}): Sequenced {
  const parked = (given.parked ?? []).map(sequence => ({ producer: p1, sequence }))
  return sequenceBatches({
    batches: (given.read ?? []).map(sequence => batch({ sequence })),
    progress: new Map([[p1, { watermark: given.watermark ?? 0, sealed: 0 }]]),
    parked,
    givenUp: new Map([
      [p1, (given.givenUp ?? []).map(([first, last]) => ({ first, last, isCounted: true }))],
    ]),
    loadParked: ({ sequence }) => batch({ sequence }),
    presumedDead: new Set(given.isPresumedDead ? [p1] : []),
  })
}
const ranges = ({ givenUp }: Sequenced) => givenUp.get(p1)!.map(({ first, last }) => [first, last])
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

test('a producer that is presumed dead gets its parked batches applied over the gaps, which are given up', () => {
  const sequenced = sequence({ parked: [3, 4, 7], watermark: 1, isPresumedDead: true })
  expect(sequences(sequenced.apply)).toEqual([3, 4, 7])
  expect(sequences(sequenced.unpark)).toEqual([3, 4, 7])
  expect(ranges(sequenced)).toEqual([
    [2, 2],
    [5, 6],
  ])
  expect(sequenced.watermarks.get(p1)).toBe(7)
})

test('a batch that was given up and arrives is applied, once, and the watermark stays', () => {
  const sequenced = sequence({ read: [6, 4, 6, 9], watermark: 8, givenUp: [[5, 7]] })
  expect(sequences(sequenced.apply)).toEqual([6, 9])
  expect(ranges(sequenced)).toEqual([
    [5, 5],
    [7, 7],
  ])
  expect(sequenced.watermarks.get(p1)).toBe(9)
  const rest = sequence({
    read: [7, 5, 5],
    watermark: 9,
    givenUp: [
      [5, 5],
      [7, 7],
    ],
  })
  expect(sequences(rest.apply)).toEqual([7, 5])
  expect(ranges(rest)).toEqual([])
})

test('a parked batch that was given up with those before it is applied', () => {
  const { apply, unpark } = sequence({ parked: [4], watermark: 6, givenUp: [[3, 6]] })
  expect([sequences(apply), sequences(unpark)]).toEqual([[4], [4]])
})

test('the watermark of a producer with parked batches is told even if nothing of it was read', () => {
  expect(sequence({ parked: [3], watermark: 1 }).watermarks).toEqual(new Map([[p1, 1]]))
})

test('a batch of a producer that would have sealed less than before is left out, and one behind it counts', () => {
  const batches = [
    batch({ sequence: 1, increments: 5, sealed: 5 }),
    batch({ sequence: 2, increments: 5, sealed: 9 }),
    batch({ sequence: 2, increments: 5, sealed: 10 }),
    batch({ sequence: 4, increments: 5, sealed: 10 }),
    batch({ sequence: 3, increments: 5, sealed: 15 }),
  ]
  const parked: BatchId[] = []
  const { apply, park, reject, watermarks } = sequenceBatches({
    batches,
    progress: new Map(),
    givenUp: new Map(),
    parked,
    loadParked: () => null,
    presumedDead: new Set(),
  })
  expect(apply.map(({ sealed }) => sealed)).toEqual([5, 10, 15])
  expect(reject).toEqual([batches[1], batches[3]])
  expect(park).toEqual([])
  expect(watermarks.get(p1)).toBe(3)
})

test('what is parked and no batch any more is thrown away, and gives nothing up', () => {
  const parked = [{ producer: p1, sequence: 9 }]
  const nothing = { batches: [], progress: new Map(), givenUp: new Map() }
  const given = { ...nothing, parked, loadParked: () => null, presumedDead: new Set([p1]) }
  const { apply, unpark, givenUp, watermarks } = sequenceBatches(given)
  expect([apply, unpark, givenUp.size, watermarks.get(p1)]).toEqual([[], parked, 0, 0])
})
