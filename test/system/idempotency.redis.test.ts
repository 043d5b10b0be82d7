import { request } from 'node:http'
import { describe, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { TestBed } from '../kit/test-bed.ts'

const bed = new TestBed()

interface Answer {
  readonly status: number
  readonly body: { result?: string; code?: string; ack?: string }
}

/** `body` is a form, or increments to be sent as JSON. */
async function send(idempotencyKey: string, body: string | object, query = ''): Promise<Answer> {
  const isForm = typeof body === 'string'
  const response = await fetch(`${bed.service.url}/increment${query}`, {
    method: 'POST',
    headers: {
      'Idempotency-Key': idempotencyKey,
      'Content-Type': isForm ? 'application/x-www-form-urlencoded' : 'application/json',
      Connection: 'close',
    },
    body: isForm ? body : JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as Answer['body'] }
}
/** An array, or NDJSON. */
async function sendLines(idempotencyKey: string, body: string): Promise<Answer> {
  const type = body.startsWith('[') ? 'application/json' : 'application/x-ndjson'
  const headers = { 'Idempotency-Key': idempotencyKey, 'Content-Type': type }
  const response = await fetch(`${bed.service.url}/increment`, { method: 'POST', headers, body })
  return { status: response.status, body: (await response.json()) as Answer['body'] }
}
const applied = { status: 200, body: { accepted: 1, ack: 'committed', result: 'applied' } }
const duplicate = { status: 200, body: { accepted: 1, ack: 'committed', result: 'duplicate' } }

describe.each(['embedded', 'redis'])('on the %s queue', kind => {
  const start = (...args: string[]) => {
    const all = ['--flush-interval-ms', '60000', ...args]
    return kind === 'redis' ? bed.startOnRedis(...all) : bed.start(...all)
  }

  test('the same key counts once, whichever web process it reaches, quoted or not, in whatever form', async () => {
    await start('--web-processes', '3')
    expect(await send('"order 17"', 'key=foo&value=5')).toEqual(applied)
    for (let count = 0; count < 20; count++)
      expect(await send('"order 17"', 'key=foo&value=5')).toEqual(duplicate)
    expect(await send('"order 17"', { key: 'foo', value: 5 })).toEqual(duplicate)
    expect(await send('order-18', 'key=foo&value=1')).toEqual(applied)
    expect(await send('"order-18"', 'key=foo&value=1', '?ack=memory')).toEqual(duplicate)
    expect(bed.folder.totals()).toEqual(new Map([['foo', '6']]))
    expect(await bed.metric('piccolo_increments_duplicate_total')).toBe(22)
    expect(bed.folder.sql('SELECT sum(sealed), sum(applied), sum(duplicate) FROM producers')).toBe('24|2|22')
    const ledger = ['sealed', 'applied', 'duplicate', 'lost'].map(state =>
      bed.metric(`piccolo_ledger_${state}_increments`),
    )
    expect(await Promise.all(ledger)).toEqual([24, 2, 22, 0])
  })

  test('the same key with other increments is refused, and nothing of it is counted', async () => {
    await start('--web-processes', '2')
    expect(await send('a', 'key=foo&value=5')).toEqual(applied)
    const conflict = { status: 422, body: { code: 'idempotency_key_reused' } }
    expect(await send('a', 'key=foo&value=6')).toMatchObject(conflict)
    expect(await send('a', 'key=bar&value=5')).toMatchObject(conflict)
    expect(await send('a', [{ key: 'foo', value: 5 }])).toEqual(duplicate)
    expect(bed.folder.totals()).toEqual(new Map([['foo', '5']]))
  })

  test("a request without increments is a request, and harms nobody else's", async () => {
    await start('--web-processes', '1')
    const empty = { accepted: 0, ack: 'committed' }
    expect(await sendLines('a', '[]')).toEqual({ status: 200, body: { ...empty, result: 'applied' } })
    for (const lines of ['[ ]', '', '\n \n\n'])
      expect(await sendLines('a', lines)).toEqual({ status: 200, body: { ...empty, result: 'duplicate' } })
    expect(await send('a', 'key=foo&value=5')).toMatchObject({ status: 422 })
    expect(await send('b', 'key=foo&value=5')).toEqual(applied)
    expect(await sendLines('b', '[]')).toMatchObject({ status: 422 })
    expect(await sendLines('c', '')).toMatchObject({ status: 200 })
    expect(await bed.service.stop()).toBe(0)
    expect(bed.folder.totals()).toEqual(new Map([['foo', '5']]))
  })

  test('a repetition after a restart of everything counts once', async () => {
    await start()
    expect(await send('a', 'key=foo&value=5')).toEqual(applied)
    expect(await bed.service.stop()).toBe(0)
    await start()
    expect(await send('a', 'key=foo&value=5')).toEqual(duplicate)
    expect(bed.folder.totals()).toEqual(new Map([['foo', '5']]))
  })

  test('with as many idempotency keys as may be kept, a request with another one is refused until there is room', async () => {
    await start('--idempotency-keys-max', '1000', '--web-processes', '1')
    expect(await send('a', 'key=foo&value=5')).toEqual(applied)
    bed.folder.sql(`
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
        INSERT INTO idempotency_keys SELECT 'key ' || i, '', '', 1, 0, applied_ms FROM n, idempotency_keys;
      UPDATE idempotency_key_count SET count = 1000`)
    const full = { status: 503, body: { code: 'idempotency_keys_full' } }
    expect(await send('b', 'key=foo&value=1')).toMatchObject(full)
    expect(await send('c', 'key=foo&value=1')).toMatchObject(full)
    expect(await send('a', 'key=foo&value=5')).toEqual(duplicate)
    expect(bed.folder.totals()).toEqual(new Map([['foo', '5']]))
    expect(await bed.metric('piccolo_idempotency_keys')).toBe(1_000)
    expect(bed.folder.sql('SELECT sum(sealed) = sum(applied) + sum(duplicate) FROM producers')).toBe('1')
    bed.folder.sql(`UPDATE idempotency_keys SET applied_ms = 0 WHERE key LIKE 'key %'`)
    await until('there is room', async () => (await send('b', 'key=foo&value=1')).status === 200)
    expect(await send('b', 'key=foo&value=1')).toEqual(duplicate)
    expect(bed.folder.totals()).toEqual(new Map([['foo', '6']]))
  })

  test('repetitions at the same moment on many connections and processes count once', async () => {
    await start('--web-processes', '3', '--ack-timeout-ms', '60000')
    const keys = Array.from({ length: 40 }, (_, index) => `k${index}`)
    const answers = await Promise.all(
      keys.flatMap(key =>
        Array.from({ length: 8 }, async () => [key, await send(key, `key=${key}&value=3`)] as const),
      ),
    )
    for (const key of keys) {
      const results = answers.filter(([each]) => each === key).map(([, { body }]) => body.result ?? body.code)
      expect(results.filter(result => result === 'applied')).toHaveLength(1)
      for (const result of results) expect(result).toMatch(/^(applied|duplicate|idempotency_key_in_flight)$/)
    }
    expect(bed.folder.totals()).toEqual(new Map(keys.map(key => [key, '3'])))
  })

  test('a key is the same by both names of its header, quoted or not', async () => {
    await start()
    const sendBy = async (headers: Record<string, string>) => {
      const answer = await fetch(`${bed.service.url}/increment`, {
        method: 'POST',
        headers,
        body: new URLSearchParams({ key: 'foo', value: '3' }),
      })
      return { status: answer.status, body: await answer.json() }
    }
    expect(await sendBy({ 'X-Idempotency-Key': 'a' })).toEqual(applied)
    expect(await sendBy({ 'Idempotency-Key': 'a' })).toEqual(duplicate)
    expect(await sendBy({ 'Idempotency-Key': '"a"', 'X-Idempotency-Key': 'a' })).toEqual(duplicate)
    expect(await sendBy({ 'Idempotency-Key': 'a', 'X-Idempotency-Key': 'b' })).toMatchObject({
      status: 400,
      body: { code: 'idempotency_keys_differ' },
    })
    expect(bed.folder.totals()).toEqual(new Map([['foo', '3']]))
  })

  test('while a request is under way, its repetition is refused, and another request with its key too', async () => {
    await start('--web-processes', '1', '--ack-timeout-ms', '60000')
    bed.signalConsumer('SIGSTOP')
    const first = send('a', 'key=foo&value=1')
    await until('it waits', async () => (await bed.metric('piccolo_requests_waiting')) === 1)
    expect(await send('a', 'key=foo&value=1')).toMatchObject({
      status: 409,
      body: { code: 'idempotency_key_in_flight' },
    })
    expect(await send('a', 'key=foo&value=2')).toMatchObject({
      status: 422,
      body: { code: 'idempotency_key_reused' },
    })
    bed.signalConsumer('SIGCONT')
    expect(await first).toEqual(applied)
    expect(await send('a', 'key=foo&value=1')).toEqual(duplicate)
  })

  test('a client that goes away and comes back is counted once', async () => {
    await start('--web-processes', '1', '--ack-timeout-ms', '60000')
    bed.signalConsumer('SIGSTOP')
    for (let count = 0; count < 3; count++) {
      const client = request(`${bed.service.url}/increment`, {
        method: 'POST',
        headers: { 'Idempotency-Key': 'a' },
      })
      client.on('error', () => {})
      client.end('key=foo&value=4')
      await until('it waits', async () => (await bed.metric('piccolo_requests_waiting')) === 1)
      client.destroy()
      await until('nobody waits', async () => (await bed.metric('piccolo_requests_waiting')) === 0)
    }
    bed.signalConsumer('SIGCONT')
    expect(await send('a', 'key=foo&value=4')).toEqual(duplicate)
    expect(bed.folder.totals()).toEqual(new Map([['foo', '4']]))
  })

  test('without the store the answer is 202, and to ask again tells what became of it', async () => {
    await start('--ack-timeout-ms', '300')
    bed.signalConsumer('SIGSTOP')
    expect(await send('a', 'key=foo&value=1')).toEqual({ status: 202, body: { accepted: 1, ack: 'queued' } })
    bed.signalConsumer('SIGCONT')
    await until('it is there', () => bed.folder.totals().get('foo') === '1')
    expect(await send('a', 'key=foo&value=1')).toEqual(duplicate)
  })

  test('a request is applied whole or not at all, with sums beyond what a number holds', async () => {
    await start()
    const large = [1, 2, 3].map(() => ({ key: 'large', value: Number.MAX_SAFE_INTEGER }))
    const answer = { status: 200, body: { accepted: 4, ack: 'committed', result: 'applied' } }
    expect(await send('a', [...large, { key: 'small', value: -1 }])).toEqual(answer)
    expect(bed.folder.totals()).toEqual(
      new Map([
        ['large', String(3n * BigInt(Number.MAX_SAFE_INTEGER))],
        ['small', '-1'],
      ]),
    )
    const many = Array.from({ length: 10_001 }, (_, index) => ({ key: `k${index}`, value: 1 }))
    expect(await send('b', many)).toMatchObject({ status: 413, body: { code: 'idempotency_too_many_keys' } })
    expect(await send('b', many.slice(1))).toMatchObject({ status: 200, body: { result: 'applied' } })
    expect(bed.folder.totals().size).toBe(10_002)
  })
})

test('after the window a key is forgotten, and counts again', async () => {
  await bed.start('--idempotency-window', '1s')
  expect(await send('a', 'key=foo&value=1')).toEqual(applied)
  await until('the key is forgotten', () => bed.folder.sql('SELECT count(*) FROM idempotency_keys') === '0')
  expect(await send('a', 'key=foo&value=1')).toEqual(applied)
  expect(bed.folder.totals()).toEqual(new Map([['foo', '2']]))
})
