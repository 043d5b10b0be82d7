import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { requirePackages } from '../../bench/packages.ts'
import { until } from '../kit/condition.ts'
import { post, postChunks, type RawAnswer, RawConnection, requestHead } from '../kit/raw-http.ts'
import { RedisServer } from '../kit/redis-server.ts'
import { Folder, freePort, Service } from '../kit/service.ts'

// The door on Express, beside the usual one: the same queue, the same store, and the same answers.

const program = fileURLToPath(new URL('../../bench/servers/express.ts', import.meta.url))
const page = 'https://shop.example'

const missing = await requirePackages('apps/express').then(
  () => null,
  error => String(error.message),
)
const note = missing === null ? '' : ` (${missing})`

describe.skipIf(missing !== null && process.env.CI === undefined)(`the door on Express${note}`, () => {
  const folder = new Folder()
  let redis: RedisServer
  let service: Service
  let express: ChildProcess
  let port: number
  beforeAll(async () => {
    redis = await RedisServer.start()
    const shared = ['--redis', redis.url, '--cors-origins', page, '--hosts', 'counter.example']
    const bound = ['--body-bytes-max', '2048']
    service = await Service.start(folder, '--web-processes', '1', ...shared, ...bound)
    port = await freePort()
    const own = ['--port', String(port), '--database', folder.database]
    express = spawn(process.execPath, [program, ...own, ...shared, ...bound], { stdio: 'ignore' })
    await until('the door is open', () =>
      fetch(`http://127.0.0.1:${port}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      ),
    )
  })
  afterAll(async () => {
    express.kill()
    await once(express, 'exit')
    await service[Symbol.asyncDispose]()
    await redis[Symbol.asyncDispose]()
    folder[Symbol.dispose]()
  })

  async function ask(door: 'express' | 'web', bytes: string): Promise<RawAnswer> {
    using connection = await RawConnection.connect(door === 'express' ? port : service.port)
    connection.send(bytes)
    return await connection.answer()
  }
  const keyed = (key: string, body = 'key=foo&value=5') =>
    post(body, { headers: `Idempotency-Key: ${key}\r\n` })
  const committed = { accepted: 1, ack: 'committed' }

  test('counts a keyed request once, whichever door it goes to, by either name of the header', async () => {
    const answers = [
      await ask('express', keyed('order-1')),
      await ask('express', keyed('"order-1"')),
      await ask('web', keyed('order-1')),
      await ask('web', keyed('order-2')),
      await ask('express', post('key=foo&value=5', { headers: 'X-Idempotency-Key: order-2\r\n' })),
    ]
    expect(answers.map(({ body }) => JSON.parse(body))).toEqual([
      { ...committed, result: 'applied' },
      { ...committed, result: 'duplicate' },
      { ...committed, result: 'duplicate' },
      { ...committed, result: 'applied' },
      { ...committed, result: 'duplicate' },
    ])
    expect((await ask('express', keyed('order-1', 'key=foo&value=6'))).status).toBe(422)
    expect(folder.totals().get('foo')).toBe('10')
  })

  test('lets a key be used again on a connection that has had its answer', async () => {
    using connection = await RawConnection.connect(port)
    for (const result of ['applied', 'duplicate', 'duplicate']) {
      connection.send(keyed('again', 'key=again&value=1'))
      expect(JSON.parse((await connection.answer()).body)).toEqual({ ...committed, result })
    }
  })

  test('counts what is compressed', async () => {
    for (const coding of ['gzip', 'x-gzip'])
      expect((await ask('express', coded(coding, gzipSync('key=packed&value=2')))).status).toBe(200)
    await until('it is counted', () => folder.totals().get('packed') === '4')
  })

  const origin = (from: string, host = 'localhost') =>
    post('key=page&value=1', { headers: `Origin: ${from}\r\n` }).replace(/Host: \S+/, `Host: ${host}`)
  const key = 'Idempotency-Key: '
  test.each(
    Object.entries({
      'a form': post('key=usual&value=1'),
      chunks: postChunks('key=usual', '&value=1'),
      'JSON in lines': post('{"key":"a","value":1}{"key":"b","value":"2"}', { type: 'application/x-ndjson' }),
      'nothing to count': post('[]', { type: 'application/json' }),
      'an increment that is committed': post('key=usual&value=1', { target: '/increment?ack=committed' }),
      'an unknown acknowledgement': post('key=usual&value=1', { target: '/increment?ack=never' }),
      'two acknowledgements': post('key=usual&value=1', { target: '/increment?ack=memory&ack=queued' }),
      'an encoded acknowledgement': post('key=usual&value=1', { target: '/increment?%61ck=queued' }),
      'a query that holds all': requestHead({ target: '/increment?key=usual&value=1' }),
      'no length': requestHead(),
      'a body that is too large': post('x'.repeat(2_049)),
      'chunks that are too large': postChunks('x'.repeat(2_049)),
      'what is not gzip': coded('gzip', 'key=usual&value=1'),
      'gzip that is cut off': coded('gzip', gzipSync('key=usual&value=1').subarray(0, -4)),
      'gzip with something behind it': coded(
        'gzip',
        Buffer.concat([gzipSync('key=usual&value=1'), Buffer.from('x')]),
      ),
      'gzip of too much': coded('gzip', gzipSync('x'.repeat(2_049))),
      'an unknown coding': coded('compress', 'x'),
      'two codings': coded('gzip, gzip', 'x'),
      'a coding twice': coded('gzip\r\nContent-Encoding: gzip', 'x'),
      'half a quoted key': post('key=no&value=1', { headers: `${key}"a\r\n` }),
      'an empty key': post('key=no&value=1', { headers: `${key}\r\n` }),
      'one key twice': post('key=no&value=1', { headers: `${key}a\r\n${key}a\r\n` }),
      'two keys': post('key=no&value=1', { headers: `${key}a\r\nX-${key}b\r\n` }),
      'a keyed request that is wrong': post('key=no', { headers: `${key}a\r\n` }),
      'a page from elsewhere': origin('https://evil.example'),
      'a page that is listed': origin(page),
      'a page of two origins': post('key=no&value=1', { headers: `Origin: ${page}\r\n`.repeat(2) }),
      'our own page': origin('http://localhost'),
      'our own page at a listed name': origin('http://counter.example', 'counter.example'),
      'a page of a name that was pointed here': origin('http://evil.example', 'evil.example'),
      'a preflight': preflight(page, 'localhost'),
      'a preflight from elsewhere': preflight('https://evil.example', 'localhost'),
      'a preflight of a name that was pointed here': preflight('http://evil.example', 'evil.example'),
      'OPTIONS of no page': requestHead({ method: 'OPTIONS' }),
    }),
  )('answers %s as the usual door does', async (_name, bytes) => {
    const [theirs, ours] = [await ask('web', bytes), await ask('express', bytes)]
    expect(essence(ours)).toEqual(essence(theirs))
  })
})

const coded = (coding: string, body: string | Buffer) =>
  post(body, { headers: `Content-Encoding: ${coding}\r\n` })
const preflight = (origin: string, host: string) =>
  requestHead({
    method: 'OPTIONS',
    headers: `Origin: ${origin}\r\nAccess-Control-Request-Method: POST\r\n`,
  }).replace(/Host: \S+/, `Host: ${host}`)

/** Returns the parts of an answer that do not depend on the server that writes it. */
function essence({ status, headers, body }: RawAnswer) {
  const names = [...headers.keys()].filter(name =>
    /^(access-control-.*|vary|allow|retry-after|accept-encoding|idempotency-.*)$/.test(name),
  )
  // Bodies may be followed by blanks.
  return {
    status,
    body: body.trimEnd(),
    headers: Object.fromEntries(names.sort().map(name => [name, headers.get(name)])),
  }
}
