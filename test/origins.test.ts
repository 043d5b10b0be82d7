import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from './condition.ts'
import { post, type RawAnswer, RawConnection, requestHead } from './raw-http.ts'
import { line, RawWebSocket, upgradeRequest } from './raw-websocket.ts'
import { Folder, Service } from './service.ts'

// What browsers send for pages, and what they need to hand an answer to a page (Fetch standard).

const page = 'https://shop.example'
const form = 'key=foo&value=1'

interface Started {
  readonly folder: Folder
  readonly service: Service
}
let strict: Started
let listed: Started
let open: Started
const connections: RawConnection[] = []

beforeAll(async () => {
  const start = async (...args: string[]) => {
    const folder = new Folder()
    return { folder, service: await Service.start(folder, '--web-processes', '1', ...args) }
  }
  ;[strict, listed, open] = await Promise.all([
    start(),
    start(
      '--cors-origins',
      `${page}:443, http://LOCALHOST:8080,null,app://counter`,
      '--body-bytes-max',
      '1024',
    ),
    start('--cors-origins', '*'),
  ])
})
afterAll(async () => {
  for (const connection of connections) connection[Symbol.dispose]()
  for (const { folder, service } of [strict, listed, open]) {
    await service[Symbol.asyncDispose]()
    folder[Symbol.dispose]()
  }
})

async function ask({ service }: Started, bytes: string): Promise<RawAnswer> {
  const connection = await RawConnection.connect(service.port)
  connections.push(connection)
  connection.send(bytes)
  return connection.answer()
}
const from = (origin: string, host = 'localhost') =>
  post(form, { headers: `Origin: ${origin}\r\n` }).replace('Host: localhost', `Host: ${host}`)
const preflight = (origin: string) =>
  requestHead({
    method: 'OPTIONS',
    headers:
      `Origin: ${origin}\r\nAccess-Control-Request-Method: POST\r\n` +
      'Access-Control-Request-Headers: content-type,idempotency-key\r\n',
  })
const codeOf = ({ status, body }: RawAnswer) => [status, body === '' ? '' : JSON.parse(body).code]
const allowed = ({ headers }: RawAnswer) => headers.get('access-control-allow-origin')

describe('without a list', () => {
  test.each([
    ['http://localhost', 'localhost'],
    ['http://localhost', 'localhost:80'],
    ['http://127.0.0.1:3333', '127.0.0.1:3333'],
    ['http://[::1]:3333', '[::1]:3333'],
    ['https://counter.example', 'counter.example'],
    ['https://counter.example', 'Counter.example:443'],
  ])('a page from %s is our own at %s', async (origin, host) => {
    expect((await ask(strict, from(origin, host))).status).toBe(200)
  })

  test.each([
    [page, 'localhost'],
    ['null', 'localhost'],
    ['http://localhost:3333', 'localhost:3334'],
    ['http://localhost.evil.example', 'localhost'],
    ['http://evil.example/localhost', 'localhost'],
    ['http://x@localhost', 'localhost'],
    ['HTTP://', ''],
    ['ftp://localhost', 'localhost'],
    ['localhost', 'localhost'],
    ['http://localhost, http://localhost', 'localhost'],
  ])('a page from %s is none of ours at %s, and may not read why', async (origin, host) => {
    const before = await accepted(strict)
    const answer = await ask(strict, from(origin, host))
    expect(codeOf(answer)).toEqual([403, 'origin_refused'])
    expect(allowed(answer)).toBeUndefined()
    expect(answer.headers.get('vary')).toBe('Origin')
    expect(await accepted(strict)).toBe(before)
  })

  test('a preflight is refused, and OPTIONS is no method for anybody else', async () => {
    const answer = await ask(strict, preflight(page))
    expect(codeOf(answer)).toEqual([403, 'origin_refused'])
    expect(allowed(answer)).toBeUndefined()
    expect(codeOf(await ask(strict, requestHead({ method: 'OPTIONS' })))).toEqual([405, 'method_not_allowed'])
  })

  test('a stream opens for our own page only', async () => {
    const ownHeaders = { Origin: 'http://localhost' }
    expect((await ask(strict, upgradeRequest({ headers: ownHeaders }))).status).toBe(101)
    for (const origin of [page, 'null', 'http://localhost:1'])
      expect(codeOf(await ask(strict, upgradeRequest({ headers: { Origin: origin } })))).toEqual([
        403,
        'origin_refused',
      ])
  })
})

describe('with a list', () => {
  test.each([page, 'http://localhost:8080', 'null', 'app://counter', 'http://localhost'])(
    'a page from %s counts, and can read the answer',
    async origin => {
      const answer = await ask(listed, from(origin))
      expect(codeOf(answer)).toEqual([200, undefined])
      expect(allowed(answer)).toBe(origin)
      expect(answer.headers.get('vary')).toBe('Origin')
      expect(answer.headers.get('content-type')).toBe('application/json')
    },
  )

  test('what is not on it is refused', async () => {
    for (const origin of ['https://evil.example', `${page}.evil.example`, 'http://shop.example'])
      expect(codeOf(await ask(listed, from(origin)))).toEqual([403, 'origin_refused'])
  })

  test('a page can read why it was refused, early or late, and answers that took their time', async () => {
    const headers = `Origin: ${page}\r\n`
    const large = 'x'.repeat(2_000)
    const answers = [
      await ask(listed, post('key=foo', { headers })),
      await ask(listed, post(large, { headers })),
      await ask(
        listed,
        `${requestHead({ headers: `${headers}Transfer-Encoding: chunked\r\n` })}7d0\r\n${large}`,
      ),
      await ask(listed, post(form, { headers: `${headers}Idempotency-Key: "\r\n` })),
      await ask(listed, post(form, { headers, target: '/increment?ack=committed' })),
      await ask(listed, post(form, { headers: `${headers}Idempotency-Key: a\r\n` })),
    ]
    expect(answers.map(({ status }) => status)).toEqual([400, 413, 413, 400, 200, 200])
    for (const answer of answers) expect([answer.body, allowed(answer)]).toEqual([answer.body, page])
  })

  test('a preflight is told what a page may send, and the request may follow on its connection', async () => {
    const connection = await RawConnection.connect(listed.service.port)
    connections.push(connection)
    connection.send(preflight(page))
    const answer = await connection.answer()
    expect(answer.status).toBe(200)
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'access-control-allow-origin': page,
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': 'Content-Type, Content-Encoding, Idempotency-Key, X-Idempotency-Key',
      'access-control-max-age': '7200',
      vary: 'Origin',
    })
    connection.send(from(page))
    expect(allowed(await connection.answer())).toBe(page)
    expect(codeOf(await ask(listed, preflight('https://evil.example')))).toEqual([403, 'origin_refused'])
  })

  test('one page after the other on one connection gets what is for it', async () => {
    const connection = await RawConnection.connect(listed.service.port)
    connections.push(connection)
    connection.send(from(page) + post(form) + from('null') + from(page))
    const answers = [page, undefined, 'null', page]
    for (const origin of answers) expect(allowed(await connection.answer())).toBe(origin)
  })

  test('a stream opens for a page that is on it', async () => {
    const stream = await RawWebSocket.open(listed.service.port, { headers: { Origin: page } })
    stream.sendLines(line('streamed', 3))
    expect((await stream.answered(1))[0]).toEqual({ message: 1, accepted: 1, ack: 'memory' })
    await until('it is counted', () => listed.folder.totals().get('streamed') === '3')
    stream.socket.destroy()
  })
})

test('an asterisk lets every page count', async () => {
  for (const origin of ['https://anywhere.example', 'null']) {
    expect(allowed(await ask(open, from(origin)))).toBe(origin)
    expect(allowed(await ask(open, preflight(origin)))).toBe(origin)
  }
})

async function accepted({ service }: Started): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${service.port}/metrics`)).text()
  return [...text.matchAll(/^piccolo_increments_accepted_total\S* (\d+)$/gm)].reduce(
    (sum, [, n]) => sum + Number(n),
    0,
  )
}
