import { pino } from 'pino'
import { expect, test } from 'vitest'
import { encodeBatch } from '../../batch/writer.ts'
import { keyAt, sumAt } from '../../store/merge/merged-sums.ts'
import { batch, keyedRequest, producerId } from '../../test/kit/builders.ts'
import { type Prepared, prepareElements } from './prepare.ts'
import { Preparer } from './worker-client.ts'

const usual = [
  encodeBatch(batch({ sequence: 1, sums: { b: 2, a: -1, 'ключ 😀': 3 }, increments: 9 })),
  encodeBatch(batch({ producer: 2, sequence: 7, sums: { b: 40 }, oldestMs: 77 })),
]
const escaped = encodeBatch(batch({ sequence: 2, sums: { 'say "hi"': 5, b: 1 } }))
const large = encodeBatch(batch({ sequence: 3, sums: { b: 2n ** 62n } }))
const keyed = encodeBatch(batch({ sequence: 4, keyed: [keyedRequest('k', 'b', 1)] }))

/** Picks all that the store looks at. */
function shown({ batches, merged, rejected }: Prepared) {
  const rows =
    merged && Array.from(merged.ends, (_, row) => [keyAt(merged, row), BigInt(sumAt(merged, row))] as const)
  return {
    rows,
    rejected,
    batches: batches.map(({ producer, sequence, oldestMs, increments, sealed, keys, sums, keyed }) => {
      return { producer, sequence, oldestMs, increments, sealed, keys, sums, keyed }
    }),
  }
}

test.each([
  ['usual elements', usual],
  ['a key with an escape among them', [...usual, escaped]],
  ['a sum beyond the safe integers', [...usual, large]],
  ['a keyed request', [...usual, keyed]],
  ['garbage', ['garbage', ...usual, '']],
  ['nothing', []],
])('the other thread prepares as this one does: %s', async (_, elements) => {
  const fresh = new Preparer(pino({ level: 'silent' }))
  try {
    const [first, second] = await Promise.all([fresh.prepare(elements), fresh.prepare(usual)])
    expect(shown(first)).toEqual(shown(prepareElements(elements)))
    expect(shown(second)).toEqual(shown(prepareElements(usual)))
  } finally {
    await fresh.close()
  }
})

test('sums are merged over batches and shapes', () => {
  expect(shown(prepareElements([...usual, escaped, large])).rows).toEqual([
    ['a', -1n],
    ['b', 2n ** 62n + 43n],
    ['say "hi"', 5n],
    ['ключ 😀', 3n],
  ])
})

test('what can only be decided in the store is not merged', () => {
  const prepared = prepareElements([...usual, keyed])
  expect(prepared.merged).toBeUndefined()
  expect(prepared.batches).toHaveLength(3)
})

test('an element that is no batch is rejected and keeps no other from being merged', () => {
  const prepared = prepareElements(['garbage', ...usual])
  expect(prepared.rejected.map(({ element }) => element)).toEqual(['garbage'])
  expect(prepared.batches.map(({ producer }) => producer)).toEqual([producerId(1), producerId(2)])
  expect(prepared.merged?.ends).toHaveLength(3)
})

test('when its thread ends, what was under way and what comes is prepared here', async () => {
  const ending = new Preparer(pino({ level: 'silent' }))
  const under = ending.prepare(usual)
  await ending.close()
  expect(shown(await under)).toEqual(shown(prepareElements(usual)))
  expect(shown(await ending.prepare(usual))).toEqual(shown(prepareElements(usual)))
})
