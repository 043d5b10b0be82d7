import { differenceOf } from '../kit/service.ts'

/** A request that is sent again and again. The total of `counterKey` tells how often it counted. */
export interface Body {
  readonly counterKey: string
  /** Key to sum, without the counter. */
  readonly sums: ReadonlyMap<string, number>
  readonly increments: number
  /** One increment per line. */
  readonly ndjson: Buffer
}

/**
 * A client's knowledge of a request when its connection has ended. `certain`: it counts. `atRisk`: it was
 * acknowledged from memory, by a web process that may be one of those that were killed since. `unanswered`:
 * it counts whole or not at all.
 */
export type Fate = 'certain' | 'atRisk' | 'unanswered'

/** A key that no complete request has: a request that was cut off must not count. */
export const neverKey = 'never'

/** Makes a body of so many lines over shared keys; the same arguments make the same body. */
export function makeBody(name: string, lineCount: number, keyOfLine: (line: number) => string): Body {
  const counterKey = `counter of ${name}`
  const sums = new Map<string, number>()
  const lines = [`{"key":"${counterKey}","value":1}`]
  for (let line = 1; line < lineCount; line++) {
    const key = keyOfLine(line)
    sums.set(key, (sums.get(key) ?? 0) + 1)
    lines.push(`{"key":"${key}","value":1}`)
  }
  return { counterKey, sums, increments: lineCount, ndjson: Buffer.from(`${lines.join('\n')}\n`) }
}

/** All that unkeyed clients sent, by what they know of it. */
export class Account {
  readonly #counts = new Map<Body, Record<Fate, number>>()
  /** Answers that no client should ever get. */
  readonly faults: string[] = []
  /** Increments that were answered with 200. */
  acknowledged = 0

  add(body: Body, fate: Fate, count = 1): void {
    const counts = this.#counts.get(body) ?? { certain: 0, atRisk: 0, unanswered: 0 }
    this.#counts.set(body, counts)
    counts[fate] += count
    if (fate !== 'unanswered') this.acknowledged += count * body.increments
  }

  /**
   * Compares the totals with what they must be. Returns how many increments were at risk, and how many of
   * those are missing; throws when anything else differs. `totals` are those of unkeyed clients.
   */
  judge(totals: ReadonlyMap<string, string>): { atRisk: number; missing: number } {
    const expected = new Map<string, number>()
    const wrong = [...this.faults.slice(0, 20)]
    let atRiskIncrements = 0
    let missing = 0
    for (const [body, { certain, atRisk, unanswered }] of this.#counts) {
      const count = Number(totals.get(body.counterKey) ?? '0')
      if (count < certain || count > certain + atRisk + unanswered)
        wrong.push(
          `${body.counterKey}: ${count}, certain ${certain}, at risk ${atRisk}, unanswered ${unanswered}`,
        )
      atRiskIncrements += atRisk * body.increments
      missing += Math.max(0, certain + atRisk - count) * body.increments
      if (count > 0) expected.set(body.counterKey, count)
      for (const [key, sum] of body.sums)
        if (count > 0) expected.set(key, (expected.get(key) ?? 0) + count * sum)
    }
    wrong.push(differenceOf(new Map([...expected].map(([key, sum]) => [key, String(sum)])), totals))
    const message = wrong.filter(line => line !== '').join('\n')
    if (message !== '') throw new Error(message)
    return { atRisk: atRiskIncrements, missing }
  }
}
