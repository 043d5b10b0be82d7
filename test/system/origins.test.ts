import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { post, type RawAnswer, RawConnection, requestHead } from '../kit/raw-http.ts'
import { line, RawWebSocket, upgradeRequest } from '../kit/raw-websocket.ts'
import { Folder, Service } from '../kit/service.ts'

// Headers that browsers send for pages, and that they need to hand an answer to a page (Fetch standard).

const page = 'https://shop.example'
const form = 'key=foo&value=1'

interface Started {
  readonly folder: Folder
  readonly service: Service
}
let strict: Started
let listed: Started
let anyName: Started
let open: Started
const connections: RawConnection[] = []

beforeAll(async () => {
  const start = async (...args: string[]) => {
    const folder = new Folder()
    return { folder, service: await Service.start(folder, '--web-processes', '1', ...args) }
  }
  ;[strict, listed, anyName, open] = await Promise.all([
    start(),
    start(
      '--cors-origins',
      `${page}:443, http://LOCALHOST:8080,null,app://counter`,
      '--body-bytes-max',
      '1024',
      '--hosts',
      'Counter.example, bücher.example,piccolo',
    ),
    start('--hosts', '*'),
    start('--cors-origins', '*'),
  ])
})
afterAll(async () => {
  for (const connection of connections) connection[Symbol.dispose]()
  for (const { folder, service } of [strict, listed, anyName, open]) {
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
const at = (host: string, bytes: string) => bytes.replace(/Host: \S+/, () => `Host: ${host}`)
const from = (origin: string, host = 'localhost') =>
  at(host, post(form, { headers: `Origin: ${origin}\r\n` }))
const opening = (origin: string) => upgradeRequest({ headers: { Origin: origin } })
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
    ['https://[2001:db8::7]', '[2001:DB8::7]:443'],
    ['http://10.0.0.7:3333', '10.0.0.7:3333'],
    ['http://app.localhost:3333', 'App.localhost:3333'],
    ['http://localhost.:3333', 'localhost.:3333'],
  ])('a page from %s is our own at %s', async (origin, host) => {
    expect((await ask(strict, from(origin, host))).status).toBe(200)
  })

  test.each([
    'evil.example:3333',
    'evil.example.:3333',
    'piccolo',
    'localhost.evil.example',
    'evillocalhost',
    '127.0.0.1.evil.example',
    'counter.example:443',
  ])('a page that came from %s may be of a name that was pointed here', async host => {
    const before = await accepted(strict)
    for (const scheme of ['http', 'https']) {
      const origin = `${scheme}://${host}`
      for (const bytes of [from(origin, host), at(host, preflight(origin)), at(host, opening(origin))])
        expect(codeOf(await ask(strict, bytes))).toEqual([403, 'host_refused'])
    }
    expect(await accepted(strict)).toBe(before)
  })

  test('a program counts by any name', async () => {
    // Node sends one of these headers for programs, too.
    const headers = 'Sec-Fetch-Mode: cors\r\n'
    const before = await accepted(strict)
    const hosts = ['evil.example:3333', 'piccolo.default.svc', 'x y', '']
    for (const host of hosts) expect((await ask(strict, at(host, post(form, { headers })))).status).toBe(200)
    expect(await accepted(strict)).toBe(before + hosts.length)
    expect((await ask(strict, at('piccolo', upgradeRequest({})))).status).toBe(101)
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
      expect(answer.headers.get('access-control-expose-headers')).toBe('Retry-After, Idempotency-Window')
      expect(answer.headers.get('content-type')).toBe('application/json')
    },
  )

  test.each(['counter.example', 'COUNTER.example:8080', 'piccolo.', 'xn--bcher-kva.example:443'])(
    'our own pages count at the listed name %s',
    async host => {
      const origin = `https://${host.toLowerCase()}`
      for (const bytes of [from(origin, host), at(host, preflight(origin))])
        expect((await ask(listed, bytes)).status).toBe(200)
      expect((await ask(listed, at(host, opening(origin)))).status).toBe(101)
    },
  )

  test('a name that is not on it is refused, but for pages that are', async () => {
    for (const host of ['x.counter.example', 'counter', 'counter.example.evil.example'])
      expect(codeOf(await ask(listed, from(`http://${host}`, host)))).toEqual([403, 'host_refused'])
    expect((await ask(listed, from(page, 'any.example'))).status).toBe(200)
  })

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

test('an asterisk is every name, and no page from elsewhere', async () => {
  expect((await ask(anyName, from('http://evil.example', 'evil.example'))).status).toBe(200)
  expect(codeOf(await ask(anyName, from(page, 'evil.example')))).toEqual([403, 'origin_refused'])
})

test('an asterisk lets every page count', async () => {
  for (const origin of ['https://anywhere.example', 'null']) {
    expect(allowed(await ask(open, from(origin)))).toBe(origin)
    expect(allowed(await ask(open, preflight(origin)))).toBe(origin)
  }
})

function accepted({ service }: Started): Promise<number> {
  return service.metric('piccolo_increments_accepted_total')
}
