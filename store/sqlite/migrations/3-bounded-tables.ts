import type { Migration } from './migration.ts'

export const rejectedByDigest = `
CREATE UNIQUE INDEX rejected_elements_by_digest ON rejected_elements (digest);
`

export const boundedKeys = `
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

export const givenUp = `
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

/** A total that overflows does so again and again: one row a key, and one adjustment for all. */
export const overflowIndexes = `
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

const rejectedMigration = `
DELETE FROM rejected_elements WHERE id <= (SELECT max(id) FROM rejected_elements) - 2000;
UPDATE rejected_elements SET element = substr(element, 1, 2048);
ALTER TABLE rejected_elements ADD COLUMN bytes INTEGER;
ALTER TABLE rejected_elements ADD COLUMN digest BLOB;
${rejectedByDigest}
`

/** Tables have bounds, and what was given up is kept as ranges. */
export const boundedTablesStep: Migration = {
  version: 3,
  // It would skip batches that were given up and arrive.
  isReadableBefore: false,
  sql: `${rejectedMigration} ${mergeOverflows} ${givenUp} ${boundedKeys}`,
}
