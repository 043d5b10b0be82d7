import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../lib/clock.ts'
import type { KeyedRequest, ReceivedBatch, Sum } from '../../batch/batch.ts'
import { SumTable } from '../../batch/sum-rows.ts'
import { mergeSums } from '../../store/merge/merged-sums.ts'
import type { CommitRequest, CommitResult, Store } from '../../store/store.ts'
import { batch, keyedRequest, producerId } from './builders.ts'

/** The options of the stores under test. */
export const contractOptions = { idempotencyKeysMax: 4, idempotencyWindowMs: 10_000 }

export interface OpenedStore {
  readonly store: Store
  /** Resolves to the total of a key, 0 where there is none. */
  total(key: string): Promise<Sum>
  /** Closes the store and opens it again, as the next process does. */
  reopen(): Promise<Store>
  dispose(): Promise<void>
}

/** Tests the promises of every store; `open` makes an empty one, whose clock is `clock`. */
export function storeContract(open: (clock: Clock) => Promise<OpenedStore>): void {
  const [p1, p2, p9] = [1, 2, 9].map(producerId) as [string, string, string]
  let opened: OpenedStore
  let store: Store

  let nowMs: number
  beforeEach(async () => {
    nowMs = 1_000_000
    opened = await open({ ...systemClock, nowMs: () => nowMs, monotonicMs: () => nowMs })
    store = opened.store
  })
  afterEach(() => opened.dispose())

  const commit = (batches: ReceivedBatch[], more: Partial<CommitRequest> = {}): Promise<CommitResult> =>
    store.commit({ batches, rejected: [], presumedDead: new Set(), ...more })
  const totals = async (...keys: string[]) =>
    (await Promise.all(keys.map(key => opened.total(key)))).map(BigInt)
  const codes = ({ outcomes }: CommitResult) =>
    outcomes.map(({ producer, sequence, codes }) => `${Number(producer)} ${sequence} ${codes}`)
  const keyed = (...keys: string[]): KeyedRequest[] => keys.map(key => keyedRequest(key, 'a', 1))

  test('sums of one key add up over batches, producers and commits', async () => {
    const [first, second] = [
      batch({ sequence: 1, sums: { a: 2, b: -1 } }),
      batch({ producer: 2, sequence: 1 }),
    ]
    expect(await commit([first, second])).toMatchObject({ applied: [first, second], rowCount: 2 })
    await commit([batch({ sequence: 2, sums: { a: 5, c: 0 } })])
    expect(await totals('a', 'b', 'c', 'd')).toEqual([8n, -1n, 0n, 0n])
    expect((await store.watermarks()).applied).toEqual(
      new Map([
        [p1, 2],
        [p2, 1],
      ]),
    )
    expect(await store.account()).toEqual({ sealed: 5, applied: 5, duplicate: 0, lost: 0 })
  })

  test('a redelivered batch changes nothing, and is told of', async () => {
    await commit([batch({ sequence: 1 })])
    const again = await commit([batch({ sequence: 1 }), batch({ sequence: 1 })])
    expect(again).toMatchObject({ applied: [], rowCount: 0, watermarks: new Map([[p1, 1]]) })
    expect(await totals('a')).toEqual([1n])
  })

  test('a batch ahead of the one before it waits for that', async () => {
    const ahead = await commit([batch({ sequence: 3 }), batch({ sequence: 2, sums: { a: 20 } })])
    expect(ahead.applied).toEqual([])
    expect(ahead.parked.map(({ sequence }) => sequence).toSorted()).toEqual([2, 3])
    expect(await store.parked()).toHaveLength(2)
    expect(await totals('a')).toEqual([0n])
    const filled = await commit([batch({ sequence: 1 })])
    expect(filled).toMatchObject({ parked: [], watermarks: new Map([[p1, 3]]) })
    expect(filled.applied.map(({ sequence }) => sequence)).toEqual([1, 2, 3])
    expect([await totals('a'), await store.parked()]).toEqual([[22n], []])
  })

  test('one that waits is told of whenever its producer is asked about', async () => {
    await commit([batch({ sequence: 2 })])
    const asked = await commit([], { askedAbout: new Set([p1]) })
    expect(asked).toMatchObject({ parked: [{ producer: p1, sequence: 2 }], watermarks: new Map([[p1, 0]]) })
    expect((await commit([])).parked).toEqual([])
  })

  test('what a producer that is presumed dead cannot bring is given up, lost, and counts if it comes', async () => {
    await commit([batch({ sequence: 1, increments: 3, sealed: 3 })])
    await commit([batch({ sequence: 4, increments: 2, sealed: 12, sums: { a: 7 } })])
    const given = await commit([], { presumedDead: new Set([p1]) })
    expect(given).toMatchObject({ lost: new Map([[p1, 7]]), watermarks: new Map([[p1, 4]]) })
    expect(await store.account()).toEqual({ sealed: 12, applied: 5, duplicate: 0, lost: 7 })
    const ranges = [{ first: 2, last: 3 }]
    expect([...given.givenUp]).toMatchObject([[p1, ranges]])
    expect([...(await store.watermarks()).givenUp]).toMatchObject([[p1, ranges]])
    const late = batch({ sequence: 2, increments: 4, sealed: 7, sums: { a: 30 } })
    const come = await commit([late, late])
    expect(come).toMatchObject({ applied: [late], recovered: new Map([[p1, 4]]) })
    expect([...come.givenUp]).toMatchObject([[p1, [{ first: 3, last: 3 }]]])
    expect(await store.account()).toEqual({ sealed: 12, applied: 9, duplicate: 0, lost: 3 })
    expect(await totals('a')).toEqual([38n])
  })

  test('a loss that is accepted moves watermarks, and the next batch says how much it was', async () => {
    await commit([batch({ sequence: 1, increments: 4, sealed: 4 })])
    const accepted = new Map([
      [p1, 3],
      [p9, 9],
    ])
    await store.acceptLoss(accepted)
    expect((await store.watermarks()).applied).toEqual(accepted)
    const next = await commit([batch({ sequence: 4, increments: 1, sealed: 20 })])
    expect(next.lost).toEqual(new Map([[p1, 15]]))
    expect(await store.account()).toEqual({ sealed: 20, applied: 5, duplicate: 0, lost: 15 })
  })

  test('a loss that is accepted is of batches that have not come, and count if they do', async () => {
    await commit([batch({ sequence: 1, sealed: 1 })])
    await store.acceptLoss(new Map([[p1, 3]]))
    await store.acceptLoss(new Map([[p1, 5]]))
    await store.acceptLoss(new Map([[p1, 2]]))
    const { applied, givenUp } = await store.watermarks()
    expect([applied.get(p1), [...givenUp]]).toMatchObject([5, [[p1, [{ first: 2, last: 5 }]]]])
    const before = await commit([batch({ sequence: 2, sealed: 2 })])
    expect([before.recovered, before.lost]).toEqual([new Map(), new Map()])
    expect((await commit([batch({ sequence: 6, sealed: 6 })])).lost).toEqual(new Map([[p1, 3]]))
    expect((await commit([batch({ sequence: 4, sealed: 4 })])).recovered).toEqual(new Map([[p1, 1]]))
    expect(await store.account()).toEqual({ sealed: 6, applied: 4, duplicate: 0, lost: 2 })
    expect(await totals('a')).toEqual([4n])
  })

  test('sums that were merged ahead are used only where all of their batches count', async () => {
    const batches = [batch({ sequence: 1, sums: { a: 1, b: 2 } }), batch({ producer: 2, sequence: 1 })]
    const merged = mergeSums(SumTable.of(batches))
    expect(await commit(batches, { merged })).toMatchObject({ applied: batches, rowCount: 2 })
    expect(await commit(batches, { merged })).toMatchObject({ applied: [], rowCount: 0 })
    expect(await totals('a', 'b')).toEqual([2n, 2n])
  })

  test('a store that is opened again is the same one, and knows all that it was told', async () => {
    const { id } = store
    await commit([
      batch({ sequence: 1, sums: { a: 5 }, keyed: keyed('k') }),
      batch({ sequence: 3, sealed: 9 }),
    ])
    await store.acceptLoss(new Map([[p9, 2]]))
    const before = [await store.watermarks(), await store.parked(), await store.account()]
    store = await opened.reopen()
    expect(store.id).toBe(id)
    expect([await store.watermarks(), await store.parked(), await store.account()]).toEqual(before)
    expect(codes(await commit([batch({ producer: 2, sequence: 1, sums: {}, keyed: keyed('k') })]))).toEqual([
      '2 1 d',
    ])
    expect(await totals('a')).toEqual([6n])
  })

  test('watermarks are those of producers of which something was committed', async () => {
    await commit([batch({ sequence: 2 }), batch({ producer: 2, sequence: 1 })])
    expect(await store.watermarks()).toEqual({ applied: new Map([[p2, 1]]), givenUp: new Map() })
  })

  test('an idempotency key is kept for its window, and forgotten by maintenance after it', async () => {
    const repeated = async (sequence: number) => {
      const { outcomes } = await commit([batch({ sequence, sums: {}, keyed: keyed('k') })])
      return outcomes[0]!.codes
    }
    expect(await repeated(1)).toBe('a')
    nowMs += contractOptions.idempotencyWindowMs
    await store.maintain('idle')
    expect(await repeated(2)).toBe('d')
    nowMs += 2_000
    await store.maintain('idle')
    expect(await repeated(3)).toBe('a')
  })

  test('a request with an idempotency key counts once, and each is told what became of it', async () => {
    const first = batch({ sequence: 1, sums: { a: 1 }, keyed: keyed('k', 'k') })
    const decided = await commit([first])
    expect([codes(decided), decided.duplicateCount]).toEqual([['1 1 ad'], 1])
    const other = keyedRequest('k', 'a', 6)
    const second = batch({ producer: 2, sequence: 1, sums: {}, keyed: [...keyed('k'), other, ...keyed('l')] })
    expect(codes(await commit([second]))).toEqual(['2 1 dca'])
    expect(codes(await commit([second, first])).toSorted()).toEqual(['1 1 ad', '2 1 dca'])
    expect(await totals('a')).toEqual([3n])
    expect(await store.account()).toEqual({ sealed: 6, applied: 3, duplicate: 3, lost: 0 })
  })

  test('a request whose key there is no room for is not counted', async () => {
    const batchOfAll = batch({ sequence: 1, sums: {}, keyed: keyed('1', '2', '3', '4', '5', '1') })
    const full = await commit([batchOfAll])
    expect([codes(full), full.duplicateCount]).toEqual([['1 1 aaaafd'], 2])
    expect(codes(await commit([batchOfAll]))).toEqual(['1 1 aaaafd'])
    expect(await totals('a')).toEqual([4n])
  })

  test('a batch that waits is decided about when it is applied', async () => {
    expect(codes(await commit([batch({ sequence: 2, sums: {}, keyed: keyed('k') })]))).toEqual([])
    await commit([batch({ producer: 2, sequence: 1, sums: {}, keyed: keyed('k') })])
    expect(codes(await commit([batch({ sequence: 1 })]))).toEqual(['1 2 d'])
    expect(await totals('a')).toEqual([2n])
  })

  test('totals have 64 bits; a sum that does not fit is set aside, and the rest of its batch counts', async () => {
    const max = 2n ** 63n - 1n
    await commit([batch({ sequence: 1, sums: { a: max, b: -max - 1n } })])
    const over = await commit([batch({ sequence: 2, sums: { a: 1, b: -1, c: 2n ** 64n, d: 1 }, sealed: 6 })])
    expect(over).toMatchObject({ setAsideCount: 3, rowCount: 1 })
    expect(await totals('a', 'b', 'c', 'd')).toEqual([max, -max - 1n, 0n, 1n])
    await commit([batch({ sequence: 3, sums: { a: -1 }, sealed: 7 })])
    expect(await totals('a')).toEqual([max - 1n])
  })

  test('a batch that says that its producer had sealed less than before is none', async () => {
    await commit([batch({ sequence: 1, increments: 5, sealed: 5 })])
    const backwards = batch({ sequence: 2, increments: 1, sealed: 3 })
    const { applied, rejected, watermarks } = await commit([backwards])
    expect([applied, rejected.map(({ element }) => element)]).toEqual([[], [backwards.element]])
    expect(watermarks).toEqual(new Map([[p1, 1]]))
  })

  test('there is nothing that cannot be maintained, before the first commit and after it', async () => {
    expect(await store.maintain('idle')).toEqual([])
    await commit([batch({ sequence: 1 })])
    expect([await store.maintain('busy'), await store.maintain('idle')]).toEqual([[], []])
    expect(await totals('a')).toEqual([1n])
  })
}
