import { idempotencyKeys, idempotencyKeysStep } from './migrations/2-idempotency-keys.ts'
import {
  boundedKeys,
  boundedTablesStep,
  givenUp,
  overflowIndexes,
  rejectedByDigest,
} from './migrations/3-bounded-tables.ts'
import type { Migration } from './migrations/migration.ts'

/** SQLite's own place for "whose file is this": the letters PDai. */
export const applicationId = 0x50446169

/** The steps from version 1 on, in order. */
export const migrations: readonly Migration[] = [idempotencyKeysStep, boundedTablesStep]

/** The version of the last step; a database of a higher version is refused. */
export const schemaVersion = migrations.at(-1)!.version

/**
 * Every table of a database. `numbers` is a public interface and never changes; all others are ours.
 * Times are milliseconds since the epoch, UTC.
 */
export const schema = `
-- Totals. A key that was never counted has no row.
CREATE TABLE numbers (
  key   TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: which store this is. The queue of a shard remembers the id and refuses another store.
CREATE TABLE store (
  id         TEXT NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;

-- Watermarks and the ledger, one row for each run of a web process, counted in increments:
-- sealed = applied + duplicate + lost.
CREATE TABLE producers (
  producer   TEXT PRIMARY KEY,
  watermark  INTEGER NOT NULL, -- every batch up to this sequence is committed or given up
  sealed     INTEGER NOT NULL, -- increments that the producer had sealed up to its watermark
  applied    INTEGER NOT NULL, -- increments in committed batches that were added to totals
  lost       INTEGER NOT NULL, -- increments in batches that were given up and have not arrived
  sum        TEXT NOT NULL,    -- sum of the values of all applied increments, a decimal of any size
  first_ms   INTEGER NOT NULL, -- when its first batch was committed
  last_ms    INTEGER NOT NULL, -- when its last batch was committed
  duplicate  INTEGER NOT NULL DEFAULT 0 -- increments of keyed requests that were not counted (again)
) STRICT, WITHOUT ROWID;

-- Batches that arrived before one that they have to follow; applied and deleted when that one arrives.
CREATE TABLE parked (
  producer  TEXT NOT NULL,
  sequence  INTEGER NOT NULL,
  element   TEXT NOT NULL,     -- the batch as it was in the queue
  parked_ms INTEGER NOT NULL,
  PRIMARY KEY (producer, sequence)
) STRICT, WITHOUT ROWID;

-- Sums that could not be added to a total, with the reason. Not in numbers; nothing else is lost with them.
-- Those that overflowed are added up by key.
CREATE TABLE set_aside (
  id           INTEGER PRIMARY KEY,
  key          TEXT NOT NULL,
  value        TEXT NOT NULL,  -- as given: a decimal of any size, or what a taken-over table held
  reason       TEXT NOT NULL,
  set_aside_ms INTEGER NOT NULL
) STRICT;

-- Changes of totals that no producer sent, so that the sum of all totals can be explained.
CREATE TABLE adjustments (
  id          INTEGER PRIMARY KEY,
  sum         TEXT NOT NULL,   -- what all totals together gained, a decimal of any size
  reason      TEXT NOT NULL,
  adjusted_ms INTEGER NOT NULL
) STRICT;

-- Elements of the queue that are no batches: the newest of them.
CREATE TABLE rejected_elements (
  id          INTEGER PRIMARY KEY, -- from 1: the largest says how many there ever were
  element     TEXT NOT NULL,       -- how it begins; bytes that are not printable in hexadecimal, after \\x
  reason      TEXT NOT NULL,
  rejected_ms INTEGER NOT NULL,
  bytes       INTEGER,             -- of all of it; null in rows of older versions
  digest      BLOB                 -- SHA-256 of all of it; null likewise
) STRICT;
${rejectedByDigest}

${idempotencyKeys}
${boundedKeys}
${givenUp}
${overflowIndexes}
`
