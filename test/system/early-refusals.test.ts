import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { chunks, post, RawConnection, requestHead } from '../kit/raw-http.ts'
import { TestBed } from '../kit/test-bed.ts'

const mebibyte = 1024 * 1024
/** More than the kernels of both sides hold: without somebody who reads on, it cannot be sent to its end. */
const bodyBytes = 24 * mebibyte

const bed = new TestBed('all tests')
beforeAll(() => bed.start('--web-processes', '1'))

const length = (bytes: number) => `Content-Length: ${bytes}\r\n`
const refusals: [name: string, bytes: number, head: string, code: string][] = [
  ['too long', bodyBytes, requestHead({ headers: length(bodyBytes) }), 'body_too_large'],
  [
    'with an unknown ack',
    mebibyte,
    requestHead({ target: '/increment?ack=no', headers: length(mebibyte) }),
    'ack_unknown',
  ],
  [
    'with a bad idempotency key',
    mebibyte,
    requestHead({ headers: `${length(mebibyte)}Idempotency-Key: a b\r\n` }),
    'idempotency_key_invalid',
  ],
]

test.each(refusals)('a request %s is refused before its body is there', async (_name, _bytes, head, code) => {
  using connection = await RawConnection.connect(bed.service.port)
  connection.send(head)
  expect(JSON.parse((await connection.answer()).body).code).toBe(code)
})

test.each(refusals)('sending a request %s to its end shows why', async (_name, bytes, head, code) => {
  using connection = await RawConnection.connect(bed.service.port)
  connection.send(head)
  for (let sent = 0; sent < bytes; sent += mebibyte) connection.send('x'.repeat(mebibyte))
  connection.send(post('key=behind&value=1'))
  expect(JSON.parse((await connection.answer()).body).code).toBe(code)
  expect((await connection.answer()).status).toBe(200)
})

test('a client that sends chunks of a request that is refused by its head sees why', async () => {
  using connection = await RawConnection.connect(bed.service.port)
  connection.send(requestHead({ target: '/increment?ack=no', headers: 'Transfer-Encoding: chunked\r\n' }))
  expect(JSON.parse((await connection.answer()).body).code).toBe('ack_unknown')
  for (let sent = 0; sent < bodyBytes; sent += mebibyte) connection.send(chunks('x'.repeat(mebibyte)))
  connection.send(`0\r\n\r\n${post('key=behind&value=1')}`)
  expect((await connection.answer()).status).toBe(200)
})

test('a client that sends chunks beyond the limit sees why they are refused', async () => {
  using connection = await RawConnection.connect(bed.service.port)
  connection.send(requestHead({ headers: 'Transfer-Encoding: chunked\r\n' }))
  for (let sent = 0; sent < bodyBytes; sent += mebibyte) connection.send(chunks('x'.repeat(mebibyte)))
  expect(JSON.parse((await connection.answer()).body).code).toBe('body_too_large')
  connection.send(`0\r\n\r\n${post('key=behind&value=1')}`)
  expect((await connection.answer()).status).toBe(200)
})

test('curl and a client of Node.js see it', async () => {
  const url = `http://127.0.0.1:${bed.service.port}/increment`
  const file = join(bed.folder.path, 'large')
  writeFileSync(file, 'x'.repeat(bodyBytes))
  const { stdout } = await promisify(execFile)('curl', ['-sS', '--data-binary', `@${file}`, url])
  expect(JSON.parse(stdout).code).toBe('body_too_large')
  const status = await new Promise((resolve, reject) => {
    const client = request(url, { method: 'POST' }, answer => resolve(answer.resume().statusCode))
    client.on('error', reject)
    client.end(Buffer.alloc(bodyBytes, 'x'))
  })
  expect(status).toBe(413)
})

test.each([
  ['whose framing is ambiguous', requestHead({ headers: 'Content-Length: 0\r\nContent-Length: 9\r\n' }), 400],
  ['of no known length', requestHead(), 411],
])(
  'what was counted before a request %s is answered, and nothing behind it is counted',
  async (_, bad, status) => {
    using connection = await RawConnection.connect(bed.service.port)
    connection.send(post('key=before&value=1') + bad + post('key=after&value=1'))
    expect((await connection.answersToEnd()).map(answer => answer.status)).toEqual([200, status])
    await bed.service.increment('last', 1)
    expect(bed.folder.totals().has('after')).toBe(false)
  },
)
