import { describe, expect, test } from 'vitest'
import { encodeBatch } from '../../batch/writer.ts'
import { windowBatchesMax, windowBytesMax } from '../../batch/limits.ts'
import { batch, producerId } from '../../test/kit/builders.ts'
import { Producer } from './producer.ts'

const id = producerId(1)

function producerWith(batchCount: number): Producer {
  const producer = new Producer(id)
  for (let count = 0; count < batchCount; count++) seal(producer)
  return producer
}
function seal(producer: Producer, nowMs = 0): void {
  producer.seal(({ sequence }) => encodeBatch(batch({ sequence })), nowMs)
}
const next = (producer: Producer) => {
  const push = producer.nextPush()
  return push === null ? null : [push.sequence, push.firstUnconfirmed]
}

test('batches are pushed in order, each once', () => {
  const producer = producerWith(2)
  expect(next(producer)).toEqual([1, 1])
  producer.heard({ pushed: 1, applied: 0 })
  expect(next(producer)).toEqual([2, 1])
  producer.heard({ pushed: 2, applied: 0 })
  expect(next(producer)).toBeNull()
  expect(producer.isAllPushed).toBe(true)
})

test('a push that fails keeps its sequence number and its bytes', () => {
  const producer = producerWith(1)
  const first = producer.nextPush()!
  expect(producer.nextPush()).toMatchObject({ sequence: 1, element: first.element })
})

test('the queue may have what was pushed before, and nothing that is only sealed', () => {
  const producer = producerWith(3)
  expect([producer.highest, producer.nextPush()!.highest, producer.highest]).toEqual([0, 0, 1])
  producer.heard({ pushed: 1, applied: 0 })
  expect([producer.nextPush()!.highest, producer.highest]).toEqual([1, 2])
  producer.heard({ pushed: 0, applied: 0 })
  expect([producer.nextPush()!.highest, producer.highest]).toEqual([2, 2])
})

test('only the watermark lets a batch go', () => {
  const producer = producerWith(3)
  for (const pushed of [1, 2, 3]) producer.heard({ pushed, applied: 0 })
  expect(producer.unconfirmed).toHaveLength(3)
  producer.heard({ pushed: 2, applied: 2 })
  expect(producer.unconfirmed.map(({ sequence }) => sequence)).toEqual([3])
  producer.heard({ pushed: 1, applied: 1 })
  expect(producer.unconfirmed).toHaveLength(1)
})

test('unconfirmed batches are counted in bytes and in increments', () => {
  const producer = producerWith(1)
  producer.seal(({ sequence }) => encodeBatch(batch({ sequence, increments: 40 })), 0)
  const { element } = producer.unconfirmed[1]!
  producer.heard({ pushed: 1, applied: 1 })
  expect([producer.unconfirmedBytes, producer.unconfirmedIncrements]).toEqual([element.length, 40])
  producer.heard({ pushed: 2, applied: 2 })
  expect([producer.unconfirmedBytes, producer.unconfirmedIncrements]).toEqual([0, 0])
})

test('a queue that lost its tail gets it again, from where it says', () => {
  const producer = producerWith(4)
  for (const pushed of [1, 2, 3]) producer.heard({ pushed, applied: 1 })
  producer.heard({ pushed: 1, applied: 1 })
  expect(next(producer)).toEqual([2, 2])
  expect(producer.isAllPushed).toBe(false)
})

test('a queue that forgot everything gets again what is unconfirmed, and nothing else', () => {
  const producer = producerWith(4)
  producer.heard({ pushed: 4, applied: 2 })
  producer.heard({ pushed: 0, applied: 0 })
  expect(producer.isAllPushed).toBe(false)
  expect(next(producer)).toEqual([3, 3])
  producer.heard({ pushed: 0, applied: 4 })
  expect(producer.isAllPushed).toBe(true)
  expect(next(producer)).toBeNull()
})

test('a push that took effect unnoticed is not made again once an answer tells of it', () => {
  const producer = producerWith(3)
  producer.heard({ pushed: 2, applied: 0 })
  expect(next(producer)).toEqual([3, 1])
})

test('the window closes at its count of batches and opens with a confirmation', () => {
  const producer = producerWith(windowBatchesMax)
  expect(producer.hasRoom).toBe(false)
  producer.heard({ pushed: 1, applied: 1 })
  expect(producer.hasRoom).toBe(true)
})

test('the window closes at its bytes, too', () => {
  const producer = new Producer(id)
  const padding = ' '.repeat(windowBytesMax)
  producer.seal(({ sequence }) => encodeBatch(batch({ sequence })) + padding, 0)
  expect(producer.hasRoom).toBe(false)
  producer.heard({ pushed: 1, applied: 1 })
  expect(producer.unconfirmedBytes).toBe(0)
})

test('a producer that was handed over goes on under its name and numbers', () => {
  const elements = [5, 6].map(sequence => encodeBatch(batch({ sequence })))
  const producer = Producer.resumed(id, 5)
  for (const element of elements) producer.seal(() => element, 0)
  expect(producer.id).toBe(id)
  expect(next(producer)).toEqual([5, 5])
  producer.heard({ pushed: 6, applied: 6 })
  expect(producer.unconfirmed).toEqual([])
})

describe('batches that were given up', () => {
  const givenUp = (first: number, last: number, ...queued: number[]) => ({
    givenUp: { ranges: [{ first, last }], queued: new Set(queued) },
  })

  test('are kept though they are below the watermark, and pushed once, until the list lost them', () => {
    const producer = producerWith(6)
    producer.heard({ pushed: 5, applied: 5, ...givenUp(2, 3) })
    expect(producer.unconfirmed.map(({ sequence }) => sequence)).toEqual([2, 3, 6])
    expect(producer.nextPush()).toMatchObject({ sequence: 2, firstUnconfirmed: 2, settled: 1 })
    expect(producer.isAllPushed).toBe(false)
    producer.heard({ pushed: 5, applied: 5, ...givenUp(2, 3, 2) })
    expect(producer.nextPush()).toMatchObject({ sequence: 3, firstUnconfirmed: 2, settled: 1 })
    producer.heard({ pushed: 5, applied: 5, ...givenUp(2, 3, 2, 3) })
    expect(producer.nextPush()).toMatchObject({ sequence: 6, firstUnconfirmed: 2, settled: 5 })
    producer.heard({ pushed: 6, applied: 5, ...givenUp(2, 3, 2, 3) })
    expect([producer.nextPush(), producer.isAllPushed]).toEqual([null, true])
    producer.heard({ pushed: 6, applied: 6, ...givenUp(2, 2) })
    expect(producer.isAllPushed).toBe(false)
    expect(producer.nextPush()).toMatchObject({ sequence: 2, firstUnconfirmed: 2 })
    producer.heard({ pushed: 6, applied: 6 })
    expect(producer.unconfirmed).toEqual([])
  })

  test('hold back what is told to those that wait', () => {
    const producer = producerWith(6)
    const position = { pushed: 6, applied: 5, outcomes: new Map(), ...givenUp(3, 4) }
    producer.heard(position)
    expect(producer.reached(position)).toMatchObject({ pushed: 2, applied: 2 })
    const later = { pushed: 6, applied: 5, outcomes: new Map() }
    producer.heard(later)
    expect(producer.reached(later)).toEqual(later)
  })

  test('leave gaps between what is kept, and a queue that knows nothing takes each run of it', () => {
    const producer = producerWith(7)
    producer.heard({ pushed: 7, applied: 6, ...givenUp(2, 3, 2, 3) })
    producer.heard({ pushed: 0, applied: 0 })
    expect(producer.nextPush()).toMatchObject({ sequence: 2, settled: 1 })
    producer.heard({ pushed: 3, applied: 0 })
    expect(producer.nextPush()).toMatchObject({ sequence: 7, firstUnconfirmed: 2, settled: 6 })
  })
})
