import { defineDecimals } from './decimals.ts'
import { overflowAdjustment, overflowReason } from './migrations/3-bounded-tables.ts'
import type { Database, Statement } from './sqlite.ts'
import type { KeySum } from './totals.ts'

/** Sums that did not fit into a total: what there is of each key, inside the caller's transaction. */
export class SetAside {
  readonly #add: Statement
  readonly #adjust: Statement

  constructor(database: Database) {
    defineDecimals(database)
    this.#add = database.prepare(
      `INSERT INTO set_aside (key, value, reason, set_aside_ms) VALUES (?, ?, '${overflowReason}', ?)
        ON CONFLICT (key) WHERE reason = '${overflowReason}' DO UPDATE
        SET value = add_decimals(value, excluded.value), set_aside_ms = excluded.set_aside_ms`,
    )
    this.#adjust = database.prepare(
      `INSERT INTO adjustments (sum, reason, adjusted_ms) VALUES (?, '${overflowAdjustment}', ?)
        ON CONFLICT (reason) WHERE reason = '${overflowAdjustment}' DO UPDATE
        SET sum = add_decimals(sum, excluded.sum), adjusted_ms = excluded.adjusted_ms`,
    )
  }

  add(sums: readonly KeySum[], nowMs: number): void {
    if (sums.length === 0) return
    for (const [key, sum] of sums) this.#add.run(key, String(sum), nowMs)
    const all = sums.reduce((total, [, sum]) => total + BigInt(sum), 0n)
    this.#adjust.run(String(-all), nowMs)
  }
}
