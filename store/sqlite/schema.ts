import { rejectedBytesKept, rejectedMax } from '../../batch/limits.ts'

/** SQLite's own place for "whose file is this": the letters PDai. */
export const applicationId = 0x50446169
/** Raised with every change below; a database of a higher version is refused. */
export const schemaVersion = 3

const idempotencyKeys = `
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

const rejectedByDigest = `
CREATE UNIQUE INDEX rejected_elements_by_digest ON rejected_elements (digest);
`

const boundedKeys = `
-- One row: how many rows idempotency_keys has.
CREATE TABLE idempotency_key_count (count INTEGER NOT NULL) STRICT;
INSERT INTO idempotency_key_count SELECT count(*) FROM idempotency_keys;

-- What became of the keyed requests of a batch of which some were refused, as there was no room for their
-- keys: told again when the batch is read again. Kept for as long as a client may wait, and no longer than
-- the keys.
CREATE TABLE refused_requests (
  producer   TEXT NOT NULL,
  sequence   INTEGER NOT NULL,
  letters    TEXT NOT NULL,    -- one for each keyed request, as in queue/queue.ts
  refused_ms INTEGER NOT NULL,
  PRIMARY KEY (producer, sequence)
) STRICT, WITHOUT ROWID;
`

const givenUp = `
-- Batches that were not waited for any longer, as ranges of sequences at or below the watermark. One that
-- arrives all the same is applied, and leaves its range and what is lost.
CREATE TABLE given_up (
  producer TEXT NOT NULL,
  first    INTEGER NOT NULL,
  last     INTEGER NOT NULL,
  counted  INTEGER NOT NULL, -- 1 when producers.lost has them, 0 until a later batch says how many they are
  PRIMARY KEY (producer, first)
) STRICT, WITHOUT ROWID;
`

/** Why a sum is in `set_aside`, and what its adjustment is called. */
export const overflowReason = 'the total would leave 64 bits'
export const overflowAdjustment = 'set aside'

/** What overflows comes again and again: one row a key, and one adjustment for all. */
const overflowIndexes = `
CREATE UNIQUE INDEX set_aside_by_key ON set_aside (key) WHERE reason = '${overflowReason}';
CREATE UNIQUE INDEX adjustments_by_running_reason ON adjustments (reason)
  WHERE reason = '${overflowAdjustment}';
`

/** Until version 2 each time had rows of its own. */
const mergeOverflows = `
INSERT INTO set_aside (key, value, reason, set_aside_ms)
  SELECT key, sum_of_decimals(value), 'merged', max(set_aside_ms)
  FROM set_aside WHERE reason = '${overflowReason}' GROUP BY key;
DELETE FROM set_aside WHERE reason = '${overflowReason}';
UPDATE set_aside SET reason = '${overflowReason}' WHERE reason = 'merged';
INSERT INTO adjustments (sum, reason, adjusted_ms)
  SELECT sum_of_decimals(sum), '${overflowAdjustment}', max(adjusted_ms)
  FROM adjustments WHERE reason LIKE 'set aside: %' HAVING count(*) > 0;
DELETE FROM adjustments WHERE reason LIKE 'set aside: %';
${overflowIndexes}
`

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
-- sealed = applied + duplicate + pending + lost.
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

const rejectedMigration = `
DELETE FROM rejected_elements WHERE id <= (SELECT max(id) FROM rejected_elements) - ${rejectedMax};
UPDATE rejected_elements SET element = substr(element, 1, ${rejectedBytesKept});
ALTER TABLE rejected_elements ADD COLUMN bytes INTEGER;
ALTER TABLE rejected_elements ADD COLUMN digest BLOB;
${rejectedByDigest}
`

/** By the version that they lead to: what makes it of the one before. */
export const migrations: Readonly<Record<number, string>> = {
  2: `ALTER TABLE producers ADD COLUMN duplicate INTEGER NOT NULL DEFAULT 0; ${idempotencyKeys}`,
  3: `${rejectedMigration} ${mergeOverflows} ${givenUp} ${boundedKeys}`,
}
