import { describe, expect, test } from 'vitest'
import { Account, makeBody, neverKey } from './account.ts'
import { runTurn } from './marathon.ts'

describe('the account of the marathon', () => {
  const body = makeBody('a body', 4, line => `key ${line % 2}`)
  const totals = (count: number, more: Record<string, string> = {}) =>
    new Map(
      Object.entries({
        [body.counterKey]: `${count}`,
        'key 0': `${count}`,
        'key 1': `${2 * count}`,
        ...more,
      }),
    )
  function account(): Account {
    const account = new Account()
    account.add(body, 'certain', 5)
    account.add(body, 'atRisk', 2)
    account.add(body, 'unanswered', 1)
    return account
  }

  test('allows for what was at risk or unanswered, and counts what is missing', () => {
    expect(account().judge(totals(8))).toEqual({ atRisk: 8, missing: 0 })
    expect(account().judge(totals(5))).toEqual({ atRisk: 8, missing: 8 })
  })

  test.each([
    ['fewer than are certain', totals(4)],
    ['more than were sent', totals(9)],
    ['a body that is counted in part', totals(6, { 'key 1': '11' })],
    ['a request that was cut off', totals(6, { [neverKey]: '1' })],
  ])('finds %s', (_, wrong) => {
    expect(() => account().judge(wrong)).toThrow()
  })

  test('finds an answer that no client should get', () => {
    const strange = account()
    strange.faults.push('answered 500')
    expect(() => strange.judge(totals(8))).toThrow('answered 500')
  })
})

test('a short marathon: every total is what clients know it must be', async () => {
  const seed = Math.floor(Math.random() * 1e9)
  const events: string[] = []
  const note = (event: string) => events.push(event)
  const options = { queue: 'redis', seed, durationMs: 12_000, note, progress: () => {} } as const
  const result = await runTurn(options).catch(error => {
    throw new Error(`${(error as Error).message}\n${events.join('\n')}`)
  })
  expect(result.counted).toBeGreaterThan(0)
  expect(result.keyedRequests).toBeGreaterThan(0)
}, 180_000)
