import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { prepareElements } from '../consumer/prepare/prepare.ts'
import { systemClock } from '../lib/clock.ts'
import { RepeatedError } from '../lib/process/log.ts'
import { EmbeddedQueue } from '../queue/embedded/embedded-queue.ts'
import { batchKeysMax } from '../batch/limits.ts'
import { Random } from '../test/kit/random.ts'
import { SimulatedDisk } from '../test/simulation/simulated-disk.ts'
import { BatchSender } from './send/batch-sender.ts'
import { Flusher } from './send/flusher.ts'
import { keyedRequest, readIdempotencyKey } from './count/idempotency-key.ts'
import { IncrementList } from './parse/increment-list.ts'
import { readIncrements } from './count/intake.ts'
import { Producer } from './send/producer.ts'
import { AckWaiters } from './send/ack-waiters.ts'

// Whatever a client sends, from its bytes to the committed row: nothing throws, nothing is refused on the
// way, and the totals are those of the requests that were accepted.

interface Request {
  readonly type: string
  readonly body: Uint8Array
  /** Null when there is none. */
  readonly idempotencyHeader: string | null
}

const json = 'application/json'
const ndjson = 'application/x-ndjson'
const form = 'application/x-www-form-urlencoded'

/** Keys as they are written in JSON, without quotes. */
const keyLiterals = [
  'k',
  'k',
  '\\"'.repeat(512),
  '\\\\'.repeat(512),
  'é'.repeat(256),
  '😀'.repeat(128),
  '\\ud83d\\ude00',
  '\\ud800',
  '\\u0000',
  '\\u0041'.repeat(512),
  '\\/',
  '\u007f',
  '\u2028\ufeff',
  '__proto__',
  ' ',
  '',
  'x'.repeat(513),
]
const valueLiterals = [
  '1',
  '-1',
  '0',
  '-0',
  '9007199254740991',
  '-9007199254740991',
  '9007199254740992',
  '1e3',
]
const idempotencyHeaders = [
  'a',
  '"a"',
  '"a b"',
  'b',
  `"${'\\"'.repeat(255)}"`,
  `"${'\\\\'.repeat(255)}"`,
  '~'.repeat(255),
  '~'.repeat(256),
  '',
  '"',
]

const object = fc
  .record({
    key: fc.oneof(fc.constantFrom(...keyLiterals), fc.string({ unit: 'binary', maxLength: 6 }).map(quotable)),
    value: fc.oneof(fc.constantFrom(...valueLiterals), fc.maxSafeInteger().map(String)),
    more: fc.constantFrom('', '', '', ',"key":"k"', ',"other":[{}]'),
  })
  .map(({ key, value, more }) => `{"key":"${key}","value":${value}${more}}`)
const objects = fc.array(object, { maxLength: 6 })
const body = fc.oneof(
  fc.constantFrom('[]', ' [ ] ').map(text => ({ type: json, text })),
  fc.constantFrom('', '\n', ' \r\n\n').map(text => ({ type: ndjson, text })),
  object.map(text => ({ type: json, text })),
  objects.map(all => ({ type: json, text: `[${all.join(',')}]` })),
  objects.map(all => ({ type: ndjson, text: all.join('\n') })),
  fc.constantFrom('key=k&value=-0', 'key=%22&value=+5', 'key=k', '').map(text => ({ type: form, text })),
  fc.string({ unit: 'binary' }).map(text => ({ type: json, text })),
)
const request: fc.Arbitrary<Request> = fc
  .record({ body, header: fc.option(fc.constantFrom(...idempotencyHeaders), { freq: 2 }) })
  .map(({ body: { type, text }, header }) => ({
    type,
    body: new Uint8Array(Buffer.from(text)),
    idempotencyHeader: header,
  }))

function quotable(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

/** Counts them as a web process does, lets the consumer commit, and compares. */
async function count(requests: readonly Request[]): Promise<void> {
  const queue = new EmbeddedQueue(systemClock)
  const error = new RepeatedError(pino({ level: 'silent' }), systemClock, 'away')
  const sender = new BatchSender(new Producer('00000001'), queue, systemClock, error)
  const ackWaiters = new AckWaiters(systemClock, 60_000)
  const options = { sender, queue, clock: systemClock, flushIntervalMs: 10, keysMax: 100_000, ackWaiters }
  const flusher = new Flusher(options)
  const expected = new Map<string, bigint>()
  const fingerprints = new Map<string, string>()
  const add = (list: IncrementList) => {
    for (let index = 0; index < list.length; index++) {
      const key = list.keyAt(index)
      expected.set(key, (expected.get(key) ?? 0n) + BigInt(list.values[index]!))
    }
  }
  for (const { type, body, idempotencyHeader } of requests) {
    const list = new IncrementList()
    const key = idempotencyHeader === null ? null : readIdempotencyKey(idempotencyHeader)
    if ((key === null) !== (idempotencyHeader === null) || readIncrements(type, '', body, list)) continue
    if (key === null) {
      expect(flusher.tryAdd(list)).toBe(true)
      add(list)
      continue
    }
    const keyed = { request: keyedRequest(key, list), sequenceLast: null, position: 0 }
    if (keyed.request.keys.length > batchKeysMax) continue
    expect(flusher.tryAddKeyed(keyed)).toBe(true)
    if (!fingerprints.has(key)) add(list)
    fingerprints.set(key, fingerprints.get(key) ?? keyed.request.fingerprint)
  }
  const disk = new SimulatedDisk()
  const store = disk.open(
    systemClock,
    new Random(1),
    () => 0,
    () => {},
  )
  let isDrained = false
  const drained = flusher.drain(60_000).finally(() => {
    isDrained = true
  })
  try {
    while (!isDrained) {
      const { batches, rejected } = prepareElements(await queue.read())
      expect(rejected).toEqual([])
      const result = await store.commit({ batches, rejected, presumedDead: new Set() })
      await queue.publish({ ...result, discarded: [] })
      await setImmediate()
    }
    expect(await drained).toBe(true)
    expect(disk.totals()).toEqual(expected)
    expect(disk.number('SELECT count(*) FROM idempotency_keys')).toBe(fingerprints.size)
    expect(disk.number('SELECT sealed - applied - duplicate FROM producers')).toBe(0)
  } finally {
    disk.close()
  }
}

test('whatever is sent, nothing breaks on its way, and what is accepted counts exactly', async () => {
  await fc.assert(fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 12 }), count), {
    numRuns: 400,
  })
}, 60_000)

test('requests at every bound at once count exactly', async () => {
  const escaped = (index: number) => `${'\\"'.repeat(507)}${String(index).padStart(5, '0')}`
  const lines = (keyCount: number) =>
    Array.from({ length: keyCount }, (_, index) => `{"key":"${escaped(index)}","value":9007199254740991}`)
  const largest = new Uint8Array(Buffer.from(lines(batchKeysMax).join('\n')))
  const tooLarge = new Uint8Array(Buffer.from(lines(batchKeysMax + 1).join('\n')))
  const keyed = (body: Uint8Array, index: number) => ({
    type: ndjson,
    body,
    idempotencyHeader: `"${'\\"'.repeat(250)}${String(index).padStart(5, '0')}"`,
  })
  const empty = new Uint8Array()
  const empties = Array.from({ length: batchKeysMax + 1 }, (_, index) => keyed(empty, index))
  const plain = { type: ndjson, body: tooLarge, idempotencyHeader: null }
  await count([plain, keyed(largest, 90_000), keyed(tooLarge, 90_001), ...empties, plain])
}, 60_000)
