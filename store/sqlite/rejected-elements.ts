import { createHash } from 'node:crypto'
import { rejectedBytesKept, rejectedMax } from '../limits.ts'
import type { Database, Statement } from './sqlite.ts'
import type { Rejected } from '../store.ts'

/**
 * The newest elements that were no batches, for the operator to look at, inside the caller's transaction. One
 * that comes again, as its removal from the queue failed, is known by its digest.
 */
export class RejectedElements {
  readonly #insert: Statement
  readonly #trim: Statement

  constructor(database: Database) {
    this.#insert = database.prepare(
      `INSERT INTO rejected_elements (element, reason, rejected_ms, bytes, digest) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (digest) DO NOTHING`,
    )
    this.#trim = database.prepare(
      `DELETE FROM rejected_elements WHERE id <= (SELECT max(id) FROM rejected_elements) - ${rejectedMax}`,
    )
  }

  keep(rejected: readonly Rejected[], nowMs: number): void {
    if (rejected.length === 0) return
    for (const { element, reason } of rejected) {
      const bytes = Buffer.from(element as string)
      const digest = createHash('sha256').update(bytes).digest()
      this.#insert.run(printable(bytes.subarray(0, rejectedBytesKept)), reason, nowMs, bytes.length, digest)
    }
    this.#trim.run()
  }
}

/** Whoever prints it on a terminal sees what it is, and nothing happens to the terminal. */
function printable(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replace(/[^ -[\]-~]/g, char =>
      char === '\\' ? '\\\\' : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
}
