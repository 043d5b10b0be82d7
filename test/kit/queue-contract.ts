import { afterEach, beforeEach, expect, test } from 'vitest'
import { encodeBatch } from '../../batch/writer.ts'
import type { ConsumerQueue, ProducerQueue, Publication } from '../../queue/queue.ts'
import { batch, producerId } from './builders.ts'
import { until } from './condition.ts'

export type Queue = ProducerQueue & ConsumerQueue

/** Batches that the queues under test may hold. */
export const contractBatchesMax = 150

/** Tests the promises of every queue; `open` makes an empty one, `dispose` ends it. */
export function queueContract(open: () => Promise<{ queue: Queue; dispose(): Promise<void> }>): void {
  const [p1, p2] = [producerId(1), producerId(2)]
  let queue: Queue
  let dispose: () => Promise<void>

  beforeEach(async () => {
    const opened = await open()
    queue = opened.queue
    dispose = opened.dispose
    await queue.bind('store-a')
  })
  afterEach(() => dispose())

  const range = (first: number, last: number) => ({ first, last })
  const element = (producer: number, sequence: number) => encodeBatch(batch({ producer, sequence }))
  const push = (producer: number, sequence: number, firstUnconfirmed = 1) =>
    queue.push({
      producer: producerId(producer),
      sequence,
      firstUnconfirmed,
      element: element(producer, sequence),
    })
  const publish = (publication: Partial<Publication>) =>
    queue.publish({ watermarks: new Map(), parked: [], outcomes: [], discarded: [], ...publication })

  test('batches come out in the order in which they went in, and stay until they are published', async () => {
    await push(1, 1)
    await push(2, 1)
    await push(1, 2)
    const expected = [element(1, 1), element(2, 1), element(1, 2)]
    expect(await queue.read()).toEqual(expected)
    expect(await queue.read()).toEqual(expected)
    expect(await queue.length()).toBe(3)
  })

  test('a push answers where the producer stands', async () => {
    expect(await push(1, 1)).toMatchObject({ pushed: 1, applied: 0 })
    await publish({ watermarks: new Map([[p1, 1]]) })
    expect(await push(1, 2)).toMatchObject({ pushed: 2, applied: 1 })
    expect(await queue.heartbeat(p1, 1)).toMatchObject({ pushed: 2, applied: 1 })
  })

  test('a list that is full takes no batch, says so, and takes it once there is room', async () => {
    for (let sequence = 1; sequence <= contractBatchesMax; sequence++)
      expect((await push(1, sequence)).pushed).toBe(sequence)
    expect(await push(1, contractBatchesMax + 1)).toMatchObject({ pushed: contractBatchesMax })
    expect(await push(2, 1)).toMatchObject({ pushed: 0 })
    expect(await queue.length()).toBe(contractBatchesMax)
    await publish({ watermarks: new Map([[p1, 1]]) })
    expect(await push(2, 1)).toMatchObject({ pushed: 1 })
    expect(await push(1, contractBatchesMax + 1)).toMatchObject({ pushed: contractBatchesMax })
  })

  test('a repeated push appends nothing', async () => {
    await push(1, 1)
    expect(await push(1, 1)).toMatchObject({ pushed: 1, applied: 0 })
    expect(await queue.length()).toBe(1)
  })

  test('a push that leaves a gap appends nothing and says where to go on', async () => {
    await push(1, 1)
    expect(await push(1, 3)).toMatchObject({ pushed: 1, applied: 0 })
    expect(await queue.length()).toBe(1)
  })

  test('a queue that knows nothing of a producer takes its first unconfirmed batch', async () => {
    expect(await push(1, 7, 7)).toMatchObject({ pushed: 7, applied: 0 })
    expect(await push(2, 8, 7)).toMatchObject({ pushed: 6, applied: 0 })
    expect(await queue.read()).toEqual([element(1, 7)])
  })

  test('publishing removes from the head what is at or below its watermark, and no more', async () => {
    await push(1, 1)
    await push(1, 2)
    await push(2, 1)
    await push(1, 3)
    await publish({ watermarks: new Map([[p1, 3]]) })
    expect(await queue.read()).toEqual([element(2, 1), element(1, 3)])
    await publish({ watermarks: new Map([[p2, 1]]) })
    expect(await queue.length()).toBe(0)
  })

  test('a late publication of lower watermarks takes nothing back', async () => {
    for (const sequence of [1, 2, 3]) await push(1, sequence)
    await publish({ watermarks: new Map([[p1, 2]]) })
    await publish({ watermarks: new Map([[p1, 1]]) })
    expect(await queue.watermarks()).toEqual(new Map([[p1, 2]]))
    expect(await queue.read()).toEqual([element(1, 3)])
  })

  test('a parked batch leaves the list and its producer is sent back to its watermark', async () => {
    await push(1, 5, 5)
    await push(2, 1)
    await publish({ watermarks: new Map([[p1, 3]]), parked: [{ producer: p1, sequence: 5 }] })
    expect(await queue.read()).toEqual([element(2, 1)])
    expect(await queue.heartbeat(p1, 1)).toMatchObject({ pushed: 3, applied: 3 })
    expect(await push(1, 4, 4)).toMatchObject({ pushed: 4, applied: 3 })
  })

  test('when the list is empty, producers whose batches vanished are sent back', async () => {
    await push(1, 1)
    await push(1, 2)
    await publish({ watermarks: new Map([[p1, 1]]), discarded: [element(1, 2)] })
    expect(await queue.length()).toBe(0)
    expect(await queue.heartbeat(p1, 1)).toMatchObject({ pushed: 1, applied: 1 })
  })

  test('while anything is in the list, nobody is sent back', async () => {
    await push(1, 1)
    await push(1, 2)
    await push(2, 1)
    await publish({ watermarks: new Map([[p1, 1]]), discarded: [element(1, 2)] })
    expect(await queue.length()).toBe(1)
    expect(await queue.heartbeat(p1, 1)).toMatchObject({ pushed: 2, applied: 1 })
  })

  test('only what is named is discarded', async () => {
    await push(1, 1)
    await publish({ discarded: ['garbage', element(1, 2)] })
    expect(await queue.length()).toBe(1)
  })

  test('what became of keyed requests is told with the watermark, until the producer has heard it', async () => {
    const heard = async (firstUnconfirmed: number) => [
      ...(await queue.heartbeat(p1, firstUnconfirmed)).outcomes,
    ]
    for (const sequence of [1, 2, 3]) await push(1, sequence)
    const first = { producer: p1, sequence: 1, codes: 'ad' }
    await publish({ watermarks: new Map([[p1, 2]]), outcomes: [first] })
    expect(await heard(1)).toEqual([[1, 'ad']])
    expect((await push(1, 3)).outcomes).toEqual(new Map([[1, 'ad']]))
    const third = { producer: p1, sequence: 3, codes: 'c' }
    const other = { producer: p2, sequence: 3, codes: 'a' }
    await publish({ watermarks: new Map([[p1, 3]]), outcomes: [first, third, other] })
    expect(await heard(1)).toEqual([
      [1, 'ad'],
      [3, 'c'],
    ])
    expect(await heard(2)).toEqual([[3, 'c']])
    expect(await heard(4)).toEqual([])
    expect(await heard(1)).toEqual([])
    expect([...(await queue.heartbeat(p2, 1)).outcomes]).toEqual([[3, 'a']])
  })

  test('a repeated publication does not change what became of a keyed request', async () => {
    const outcomes = (codes: string) => [{ producer: p1, sequence: 7, codes }]
    await publish({ watermarks: new Map([[p1, 7]]), outcomes: outcomes('a') })
    await publish({ watermarks: new Map([[p1, 7]]), outcomes: outcomes('d') })
    expect((await queue.heartbeat(p1, 7)).outcomes).toEqual(new Map([[7, 'a']]))
  })

  test('a batch that was given up is taken when it arrives, once, and stays until it is applied', async () => {
    await push(1, 1)
    await push(2, 1)
    await publish({ watermarks: new Map([[p1, 9]]), givenUp: new Map([[p1, [range(3, 5), range(8, 8)]]]) })
    expect(await queue.read()).toEqual([element(2, 1)])
    const missing = { ranges: [range(3, 5), range(8, 8)], queued: new Set() }
    expect(await queue.heartbeat(p1, 3)).toMatchObject({ applied: 9, givenUp: missing })
    expect(await push(1, 4, 3)).toMatchObject({ pushed: 2, givenUp: { ...missing, queued: new Set([4]) } })
    await push(1, 4, 3)
    await push(1, 6, 3)
    expect(await queue.read()).toEqual([element(2, 1), element(1, 4)])
    await publish({ watermarks: new Map([[p2, 1]]) })
    expect(await queue.read()).toEqual([element(1, 4)])
    const rest = [range(3, 3), range(5, 5), range(8, 8)]
    await publish({ watermarks: new Map([[p1, 9]]), givenUp: new Map([[p1, rest]]) })
    expect(await queue.length()).toBe(0)
    expect((await queue.heartbeat(p1, 3)).givenUp).toEqual({ ranges: rest, queued: new Set() })
    await publish({ watermarks: new Map([[p1, 9]]) })
    expect((await queue.heartbeat(p1, 3)).givenUp).toBeUndefined()
  })

  test('what came back and is in the list is known through publications, and sought again once it is empty', async () => {
    const givenUp = new Map([[p1, [range(1, 12)]]])
    const queued = async () => (await queue.heartbeat(p1, 1)).givenUp!.queued
    await publish({ watermarks: new Map([[p1, 12]]), givenUp })
    await push(2, 1)
    await push(1, 11, 1)
    await push(1, 1, 1)
    await publish({ watermarks: new Map([[p1, 12]]), givenUp })
    expect(await queued()).toEqual(new Set([1, 11]))
    await publish({ discarded: [element(2, 1), element(1, 11), element(1, 1)] })
    expect([await queue.length(), await queued()]).toEqual([0, new Set()])
    await push(1, 11, 1)
    expect([await queue.length(), await queued()]).toEqual([1, new Set([11])])
  })

  test('a late publication of a lower watermark does not take back what was given up', async () => {
    const givenUp = new Map([[p1, [range(2, 3)]]])
    await publish({ watermarks: new Map([[p1, 4]]), givenUp })
    await publish({ watermarks: new Map([[p1, 1]]) })
    expect((await push(1, 2, 2)).givenUp).toEqual({ ranges: [range(2, 3)], queued: new Set([2]) })
    await publish({ watermarks: new Map([[p1, 1]]) })
    expect(await queue.read()).toEqual([element(1, 2)])
  })

  test('a producer that holds what was given up is taken at its next batch, too, by a queue that forgot', async () => {
    const pushed = (sequence: number, settled: number) =>
      queue.push({ producer: p1, sequence, firstUnconfirmed: 2, settled, element: element(1, sequence) })
    expect(await pushed(2, 1)).toMatchObject({ pushed: 2 })
    expect(await pushed(7, 6)).toMatchObject({ pushed: 7 })
    expect(await queue.length()).toBe(2)
  })

  test('what was given up is forgotten with its producer', async () => {
    await queue.heartbeat(p1, 1)
    await publish({ watermarks: new Map([[p1, 4]]), givenUp: new Map([[p1, [range(2, 3)]]]) })
    expect(await queue.forget(-2_000)).toBe(1)
    expect((await queue.heartbeat(p1, 1)).givenUp).toBeUndefined()
  })

  test('a shard stays bound to its first store', async () => {
    expect(await queue.bind('store-b')).toBe('store-a')
    expect(await queue.bind('store-a')).toBe('store-a')
  })

  test('how long idempotency keys are kept is known once it was announced, as it was announced last', async () => {
    expect(await queue.idempotencyWindow()).toBe(null)
    for (const span of ['24h', '90s']) {
      await queue.announceWindow(span)
      expect(await queue.idempotencyWindow()).toBe(span)
    }
  })

  test('a heartbeat changes with each call of its own and each push', async () => {
    const signs = new Set<string>()
    const sign = async () => (await queue.heartbeats([p1])).get(p1)!
    expect(await sign()).toBe('')
    await queue.heartbeat(p1, 1)
    signs.add(await sign())
    await until('the clock moved', async () => {
      await push(1, 1)
      return !signs.has(await sign())
    })
    expect(await queue.heartbeats([p2])).toEqual(new Map([[p2, '']]))
  })

  test('silent producers are forgotten once the list is empty, and not before', async () => {
    await push(1, 1)
    await until('time passed', async () => (await queue.forget(-2_000)) === 0)
    await publish({ watermarks: new Map([[p1, 1]]) })
    expect(await queue.forget(60_000)).toBe(0)
    expect(await queue.forget(-2_000)).toBe(1)
    expect(await queue.watermarks()).toEqual(new Map())
    expect(await push(1, 2, 2)).toMatchObject({ pushed: 2, applied: 0 })
  })

  test('listeners hear of pushes and publications', async () => {
    let pushed = 0
    let applied = 0
    queue.onPushed(() => pushed++)
    queue.onApplied(() => applied++)
    let sequence = 0
    await until('both were heard', async () => {
      await push(1, ++sequence, 1)
      await publish({})
      return pushed > 0 && applied > 0
    })
  })

  test('a read leaves out what is to be skipped, and is bounded by count and by bytes', async () => {
    const all: string[] = []
    for (let sequence = 1; sequence <= 5; sequence++) {
      await push(1, sequence)
      all.push(element(1, sequence))
    }
    const twice = 2 * element(1, 1).length
    expect(await queue.read({ skip: 2 })).toEqual(all.slice(2))
    expect(await queue.read({ skip: 1, batchesMax: 3 })).toEqual(all.slice(1, 4))
    expect(await queue.read({ bytesMax: twice })).toEqual(all.slice(0, 2))
    expect(await queue.read({ skip: 3, bytesMax: 1 })).toEqual(all.slice(3, 4))
    expect(await queue.read({ skip: 5 })).toEqual([])
    expect(await queue.read({ skip: 9 })).toEqual([])
    expect(await queue.read()).toEqual(all)
  })

  test('a read is bounded by count', async () => {
    for (let sequence = 1; sequence <= 70; sequence++) await push(1, sequence)
    expect(await queue.read()).toHaveLength(64)
  })
}
