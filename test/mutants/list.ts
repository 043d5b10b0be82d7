/** A fault that somebody could make, and the tests that must not pass with it. */
export interface Mutant {
  readonly name: string
  readonly file: string
  /** Stands there once. */
  readonly find: string
  readonly replace: string
  readonly tests: readonly string[]
}

const simulation = 'test/simulation.test.ts'
const storeTests = 'store/sqlite-store.test.ts'
const redisTests = 'queue/redis.redis.test.ts'

/** The guarantees, each broken in the way that is most tempting. */
export const mutants: readonly Mutant[] = [
  {
    name: 'a batch is forgotten when the queue has taken it, not when the store has',
    file: 'apps/web/producer.ts',
    find: 'this.confirmed(position, nowMs)',
    replace: 'this.confirmed({ applied: position.pushed }, nowMs)',
    tests: [simulation],
  },
  {
    name: 'a sequence is used again after a failed push',
    file: 'apps/web/producer.ts',
    find: 'this.#sequenceNext = position.pushed + 1',
    replace: 'this.#sequenceNext = Math.max(this.#sequenceNext, position.pushed + 1)',
    tests: [simulation],
  },
  {
    name: 'what is unconfirmed is never sent again',
    file: 'apps/web/producer.ts',
    find: 'isStale ? first : undefined',
    replace: 'isStale && false ? first : undefined',
    tests: [simulation],
  },
  {
    name: 'the embedded queue does not look at the lowest unconfirmed batch',
    file: 'queue/embedded.ts',
    find: 'Math.max(this.#pushed.get(producer) ?? 0, lowest - 1)',
    replace: 'this.#pushed.get(producer) ?? 0',
    tests: [simulation],
  },
  {
    name: 'the embedded queue appends whatever comes',
    file: 'queue/embedded.ts',
    find: 'if (sequence === pushed + 1 &&',
    replace: 'if (sequence >= pushed &&',
    tests: ['queue/embedded.test.ts'],
  },
  {
    name: 'the embedded queue removes by count',
    file: 'queue/embedded.ts',
    find: 'while (removed < this.#elements.length && this.#isDone(this.#elements[removed]!, removable)) removed++',
    replace: 'removed = Math.min(this.#elements.length, watermarks.size)',
    tests: [simulation],
  },
  {
    name: 'the embedded queue pops what it reads',
    file: 'queue/embedded.ts',
    find: 'return this.#elements.slice(skip, end)',
    replace: 'return this.#elements.splice(skip, end - skip)',
    tests: ['queue/embedded.test.ts'],
  },
  {
    name: 'a producer with parked batches is not sent back',
    file: 'queue/embedded.ts',
    find: 'for (const { producer } of parked) this.#pushed.set(producer, watermarks.get(producer) ?? 0)',
    replace: '',
    tests: ['queue/embedded.test.ts', simulation],
  },
  {
    name: 'watermarks that were published go back',
    file: 'queue/embedded.ts',
    find: 'Math.max(watermark, this.#applied.get(producer) ?? 0)',
    replace: 'watermark',
    tests: ['queue/embedded.test.ts'],
  },
  {
    name: 'outcomes are dropped before their producer has heard them',
    file: 'queue/embedded.ts',
    find: 'if (sequence < lowest) known!.delete(sequence)',
    replace: 'if (sequence <= lowest) known!.delete(sequence)',
    tests: ['queue/embedded.test.ts', simulation],
  },
  {
    name: 'Redis appends whatever comes',
    file: 'queue/redis-scripts.ts',
    find: 'if sequence == last + 1 and',
    replace: 'if sequence >= last and',
    tests: [redisTests],
  },
  {
    name: 'Redis forgets the lowest unconfirmed batch',
    file: 'queue/redis-scripts.ts',
    find: 'local last = math.max(number_in(pushed, producer), lowest - 1)',
    replace: 'local last = number_in(pushed, producer)',
    tests: [redisTests],
  },
  {
    name: 'Redis removes everything that was read',
    file: 'queue/redis-scripts.ts',
    find: 'while head and is_done(head) do',
    replace: 'while head do',
    tests: [redisTests],
  },
  {
    name: 'Redis changes what became of a keyed request when it is published again',
    file: 'queue/redis-scripts.ts',
    find: "redis.call('HSET', outcomes, item[1], known .. ' ' .. item[2])",
    replace: "redis.call('HSET', outcomes, item[1], item[2])",
    tests: [redisTests],
  },
  {
    name: 'a batch that was applied is applied again',
    file: 'store/sequencing.ts',
    find: 'if (batch.sequence <= watermark) continue',
    replace: 'if (batch.sequence <= watermark) {\n      take(batch)\n      continue\n    }',
    tests: ['store/sequencing.test.ts', simulation],
  },
  {
    name: 'a gap is jumped',
    file: 'store/sequencing.ts',
    find: 'if (batch.sequence === watermark + 1) take(batch)',
    replace: 'if (batch.sequence > watermark) take(batch)',
    tests: ['store/sequencing.test.ts', simulation],
  },
  {
    name: 'a parked batch is dropped',
    file: 'store/sequencing.ts',
    find: 'park.set(nameOf(batch), batch)',
    replace: '',
    tests: ['store/sequencing.test.ts'],
  },
  {
    name: 'the missing batches of a living producer are given up',
    file: 'store/sequencing.ts',
    find: 'if (gap > 0 && !gone.has(producer)) break',
    replace: '',
    tests: ['store/sequencing.test.ts', simulation],
  },
  {
    name: 'sums that were merged ahead are added although their batches were applied before',
    file: 'store/sqlite-store.ts',
    find: 'merged !== undefined && appliesAll(sequenced, batches)',
    replace: 'merged !== undefined',
    tests: ['consumer/consumer.test.ts'],
  },
  {
    name: 'sums are rounded where they pass through more than a number can hold',
    file: 'store/merged-sums.ts',
    find: 'if (sum > Number.MAX_SAFE_INTEGER || sum < Number.MIN_SAFE_INTEGER) return Number.NaN',
    replace: '',
    tests: ['store/merged-sums.test.ts'],
  },
  {
    name: 'totals are committed by themselves, before the watermarks',
    file: 'store/sqlite-store.ts',
    find: 'const lost = this.#writeProgress(producers, decided, now)',
    replace:
      "this.#database.exec('COMMIT; BEGIN')\n    const lost = this.#writeProgress(producers, decided, now)",
    tests: ['store/store-faults.test.ts'],
  },
  {
    name: 'the watermark is not written',
    file: 'store/sqlite-store.ts',
    find: '        watermark: batch.sequence,\n',
    replace: '        watermark: row.watermark,\n',
    tests: [storeTests],
  },
  {
    name: 'a commit is not waited for until it is on disk',
    file: 'store/sqlite.ts',
    find: 'synchronous = FULL',
    replace: 'synchronous = NORMAL',
    tests: [storeTests],
  },
  {
    name: 'a repeated request counts again',
    file: 'store/idempotency.ts',
    find: 'keys.add(idempotencyKey, { fingerprint, producer, sequence, position })',
    replace: '',
    tests: [storeTests, simulation],
  },
  {
    name: 'another request with the same key passes for a repetition',
    file: 'store/idempotency.ts',
    find: 'return known.fingerprint === fingerprint ? outcomes.duplicate : outcomes.conflict',
    replace: 'return outcomes.duplicate',
    tests: [storeTests],
  },
  {
    name: 'a batch that is read again takes its own request for a repetition',
    file: 'store/idempotency.ts',
    find: 'if (isOwn) return outcomes.applied',
    replace: '',
    tests: [storeTests],
  },
  {
    name: 'committed is answered when the queue has it',
    file: 'apps/web/waiting.ts',
    find: "return sequenceLast <= (ack === 'queued' ? Math.max(pushed, applied) : applied)",
    replace: 'return sequenceLast <= Math.max(pushed, applied)',
    tests: ['apps/web/waiting.test.ts', simulation],
  },
  {
    name: 'a generation counts as sealed with its first batch',
    file: 'apps/web/sealing.ts',
    find: 'if (this.#keyCount === 0) this.#generation.sequenceLast = sequence',
    replace: 'this.#generation.sequenceLast ??= sequence',
    tests: ['apps/web/sealing.test.ts'],
  },
  {
    name: 'a batch is written in one go',
    file: 'apps/web/sealing.ts',
    find: 'const room = Math.min(sliceKeysMax, batchKeysMax - this.#writer.keyCount)',
    replace: 'const room = batchKeysMax - this.#writer.keyCount',
    tests: ['apps/web/sealing.test.ts', 'apps/web/flusher.test.ts'],
  },
  {
    name: 'keys with the same hash pass for the same key',
    file: 'apps/web/records.ts',
    find: 'for (let index = 0; index < length; index++) if (own[from + index] !== bytes[start + index]) return false',
    replace: ';',
    tests: ['apps/web/key-table.test.ts'],
  },
  {
    name: 'the queue is told before the store has committed',
    file: 'consumer/consumer.ts',
    find: 'applied = this.#apply(prepared, bytes, producersGone)',
    replace:
      'void queue.publish({ watermarks: new Map(prepared.batches.map(each => [each.producer, each.sequence])), parked: [], outcomes: [], discarded: [] })\n      applied = this.#apply(prepared, bytes, producersGone)',
    tests: ['consumer/consumer.test.ts'],
  },
  {
    name: 'what overflows a safe integer is rounded',
    file: 'apps/web/accumulator.ts',
    find: 'if (Number.isSafeInteger(sum)) page[at] = sum',
    replace: 'if (Number.isFinite(sum)) page[at] = sum',
    tests: ['apps/web/accumulator.test.ts'],
  },
  {
    name: 'a lost connection to Redis may leave a rejection to nobody, which ends a web process',
    file: 'queue/redis.ts',
    find: 'autoResubscribe: false',
    replace: 'autoResubscribe: true',
    tests: [redisTests],
  },
  {
    name: 'requests wait for the accumulator before theirs',
    file: 'apps/web/flusher.ts',
    find: 'this.#generation = { sequenceLast: null }',
    replace: '',
    tests: [simulation],
  },
  {
    name: 'a stopping web process does not wait until the queue has everything',
    file: 'apps/web/flusher.ts',
    find: 'if (isSafe) return true',
    replace: 'return true',
    tests: [simulation],
  },
  {
    name: 'a request of several keys is counted in part before it is refused',
    file: 'apps/web/flusher.ts',
    find: 'if (list.length > room && this.#accumulator.newKeyCount(list) > room) return false',
    replace: 'if (list.length > room) { list.length = room; this.#accumulator.add(list); return false }',
    tests: [simulation],
  },
  {
    name: 'a hand-over file is removed when the queue has its batches, not when the store has',
    file: 'apps/web/handover.ts',
    find: '    if (producer.unconfirmed.length > 0) return\n',
    replace: '',
    tests: ['apps/web/handover.test.ts'],
  },
  {
    name: 'a producer is taken for gone whether it has a hand-over file or not',
    file: 'consumer/gone-producers.ts',
    find: ' && !this.#isHandedOver(producer)',
    replace: '',
    tests: ['consumer/consumer.test.ts'],
  },
  {
    name: 'an accumulator that is used again begins with the sums of before',
    file: 'apps/web/records.ts',
    find: 'page.numbers[at] = 0\n',
    replace: '\n',
    tests: [simulation],
  },
  {
    name: 'an accumulator that is used again finds the keys of before',
    file: 'apps/web/key-table.ts',
    find: 'if (part.epoch !== this.#epoch) emptyPart(part, this.#epoch)',
    replace: '',
    tests: ['apps/web/key-table.test.ts', 'apps/web/accumulator.test.ts'],
  },
]
