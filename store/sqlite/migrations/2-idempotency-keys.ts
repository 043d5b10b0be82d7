import type { Migration } from './migration.ts'

export const idempotencyKeys = `
-- Requests with an idempotency key that were counted, kept for as long as a repetition shall be known.
CREATE TABLE idempotency_keys (
  key         TEXT PRIMARY KEY,
  fingerprint TEXT NOT NULL,    -- of what the request asked for
  producer    TEXT NOT NULL,    -- whose batch brought it
  sequence    INTEGER NOT NULL, -- of that batch
  position    INTEGER NOT NULL, -- from 0, among the keyed requests of that batch
  applied_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (applied_ms);
`

/** Requests with an idempotency key count once. */
export const idempotencyKeysStep: Migration = {
  version: 2,
  // It would count repeated requests again.
  isReadableBefore: false,
  sql: `ALTER TABLE producers ADD COLUMN duplicate INTEGER NOT NULL DEFAULT 0; ${idempotencyKeys}`,
}
