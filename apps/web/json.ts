import type { Increment } from './increment.ts'
import { JsonScanner } from './json-scanner.ts'
import type { IncrementProblem, ProblemCode } from './problems.ts'

/** What makes a body unfit: one code for the whole, and what is wrong where. */
export interface Refusal {
  readonly code: ProblemCode
  readonly errors: readonly IncrementProblem[]
}

export type IncrementsRead = { readonly increments: readonly Increment[] } | Refusal

/** Reads `{"key":"foo","value":5}` or an array of such objects. Whole or not at all. */
export function readJson(body: Buffer): IncrementsRead {
  const scanner = new JsonScanner(body, 0, body.length)
  scanner.skipSpace()
  if (scanner.peek() !== 0x5b) {
    const increment = scanner.increment()
    if (typeof increment === 'string') return { code: increment, errors: [] }
    return scanner.isAtEnd() ? { increments: [increment] } : { code: 'json_malformed', errors: [] }
  }
  const collected = new Collected()
  const malformedIndex = scanner.array(index => {
    const increment = scanner.increment()
    if (increment !== 'json_malformed') collected.add(increment, { index })
    return increment !== 'json_malformed'
  })
  if (malformedIndex !== null) collected.add('json_malformed', { index: malformedIndex })
  return collected.result(malformedIndex === null ? 'increments_refused' : 'json_malformed')
}

/** Reads one object a line; empty lines do not count. Whole or not at all. */
export function readNdjson(body: Buffer): IncrementsRead {
  const collected = new Collected()
  let line = 0
  for (let start = 0; start < body.length; ) {
    line++
    const lineFeed = body.indexOf(0x0a, start)
    const end = lineFeed === -1 ? body.length : lineFeed
    const scanner = new JsonScanner(body, start, end)
    scanner.skipSpace()
    if (!scanner.isAtEnd()) {
      const increment = scanner.increment()
      const isLineWellFormed = typeof increment === 'string' || scanner.isAtEnd()
      collected.add(isLineWellFormed ? increment : 'json_malformed', { line })
    }
    start = end + 1
  }
  return collected.result('increments_refused')
}

class Collected {
  readonly #increments: Increment[] = []
  readonly #errors: IncrementProblem[] = []

  add(increment: Increment | ProblemCode, at: IncrementProblem['at']): void {
    if (typeof increment !== 'string') this.#increments.push(increment)
    else this.#errors.push({ at, code: increment })
  }

  /** `code` is for the whole body, if there were errors. */
  result(code: ProblemCode): IncrementsRead {
    return this.#errors.length > 0 ? { code, errors: this.#errors } : { increments: this.#increments }
  }
}
