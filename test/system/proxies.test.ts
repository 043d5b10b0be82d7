import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { chunks, post, RawConnection, requestHead } from '../kit/raw-http.ts'
import { frame, line, RawWebSocket } from '../kit/raw-websocket.ts'
import { Folder, freePort, Service } from '../kit/service.ts'

interface Proxy {
  readonly name: string
  /** The path in docs/. */
  readonly file: string
  /** Status of the answer to a request of HTTP/1.0: HAProxy passes it on as it is. */
  readonly statusOfOld: number
  /** The line in the file, and the one that the test needs there; the port of the proxy is `PORT`. */
  readonly own: string
  readonly ownHere: string
  start(file: string, folder: string): ChildProcess
}

const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
const proxies: readonly Proxy[] = [
  {
    name: 'nginx',
    file: 'nginx.conf',
    statusOfOld: 200,
    own: 'listen 80;',
    ownHere: 'listen 127.0.0.1:PORT;',
    start: (file, folder) => {
      const paths = temporary.map(name => `${name}_temp_path ${folder}/${name};`).join(' ')
      const text = readFileSync(file, 'utf8').replace('http {', `http { access_log off; ${paths}`)
      writeFileSync(file, text)
      const user = process.getuid?.() === 0 ? 'user root;' : ''
      const globals = `${user} daemon off; pid ${folder}/nginx.pid; error_log stderr;`
      return spawn(binaryOf('nginx')!, ['-c', file, '-p', folder, '-g', globals], { stdio: 'ignore' })
    },
  },
  {
    name: 'haproxy',
    file: 'haproxy.cfg',
    statusOfOld: 505,
    own: 'bind :80',
    ownHere: 'bind 127.0.0.1:PORT',
    start: file => spawn(binaryOf('haproxy')!, ['-db', '-f', file], { stdio: 'ignore' }),
  },
]

/** Returns a program's path; null when it is not installed. Debian keeps servers where only root looks. */
function binaryOf(name: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  return folders.map(folder => join(folder, name)).find(existsSync) ?? null
}

/** A proxy that is missing fails where it was to be installed, and is skipped elsewhere. */
const installed = (process.env.TEST_SERVERS ?? '').split(' ')

for (const proxy of proxies) {
  const isMissing = binaryOf(proxy.name) === null
  const note = isMissing ? ` (needs ${proxy.name}: apt-get install ${proxy.name})` : ''
  describe.skipIf(isMissing && !installed.includes(proxy.name))(
    `behind ${proxy.name}, by docs/${proxy.file}${note}`,
    () => {
      let folder: Folder
      let service: Service
      let child: ChildProcess
      let port: number
      beforeAll(async () => {
        folder = new Folder()
        service = await Service.start(folder, '--web-processes', '2')
        port = await freePort()
        const given = readFileSync(new URL(`../../docs/${proxy.file}`, import.meta.url), 'utf8')
        expect(given).toContain(proxy.own)
        expect(given).toContain('127.0.0.1:3333')
        const file = join(folder.path, proxy.file)
        const text = given
          .replace(proxy.own, proxy.ownHere.replace('PORT', String(port)))
          .replace('127.0.0.1:3333', `127.0.0.1:${service.port}`)
        writeFileSync(file, text)
        child = proxy.start(file, folder.path)
        await until('the proxy reaches the service', async () => {
          const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null)
          return answer?.status === 200
        })
      })
      afterAll(async () => {
        child.kill()
        await service[Symbol.asyncDispose]()
        folder[Symbol.dispose]()
      })

      const expectTotal = (key: string, total: number) =>
        until(`${key} is ${total}`, () => folder.totals().get(key) === String(total))

      async function ask(bytes: string): Promise<{ status: number; body: string }> {
        using connection = await RawConnection.connect(port)
        connection.send(bytes)
        return await connection.answer()
      }

      test('increments count, whatever their form, and one with an idempotency key counts once', async () => {
        const keyed = post('key=kinds&value=1', { headers: 'Idempotency-Key: "a"\r\n' })
        const type = 'application/x-ndjson'
        const requests = [
          post('key=kinds&value=1'),
          post(`${line('kinds')}\n${line('kinds')}`, { type }),
          post(gzipSync(line('kinds')), { type, headers: 'Content-Encoding: gzip\r\n' }),
          `${requestHead({ headers: 'Transfer-Encoding: chunked\r\n' })}${chunks('key=ki', 'nds&value=1')}0\r\n\r\n`,
          keyed,
          keyed,
          post('key=kinds&value=1', { target: '/increment?ack=committed' }),
        ]
        for (const request of requests) expect((await ask(request)).status, request).toBe(200)
        await expectTotal('kinds', 7)
      })

      test('a refusal is the one of the service, also where the body is too large', async () => {
        expect(JSON.parse((await ask(post('key=no'))).body).code).toBe('value_missing')
        const file = join(folder.path, 'large')
        writeFileSync(file, 'x'.repeat(3_000_000))
        const url = `http://127.0.0.1:${port}/increment`
        const { stdout } = await promisify(execFile)('curl', ['-sS', '--data-binary', `@${file}`, url])
        expect(JSON.parse(stdout).code).toBe('body_too_large')
      })

      test('a cookie of 6 KB and 20 requests at a time on one connection are fine, and HTTP/1.0 as documented', async () => {
        const body = 'key=many&value=1'
        const old = `POST /increment HTTP/1.0\r\nHost: a\r\nContent-Length: 15\r\n\r\nkey=old&value=1`
        expect((await ask(old)).status).toBe(proxy.statusOfOld)
        expect((await ask(post(body, { headers: `Cookie: ${'x'.repeat(6_000)}\r\n` }))).status).toBe(200)
        using connection = await RawConnection.connect(port)
        connection.send(post(body).repeat(20))
        for (let count = 0; count < 20; count++) expect((await connection.answer()).status).toBe(200)
        await expectTotal('many', 21)
      })

      test('streams go through it, and /metrics does not', async () => {
        using stream = await RawWebSocket.open(port)
        stream.send(frame(line('stream')), frame(line('stream')))
        await expectTotal('stream', 2)
        expect((await ask(requestHead({ method: 'GET', target: '/metrics' }))).status).toBe(404)
      })

      // Both take longer than the service keeps a connection that is idle or slow.
      test('a body that comes slowly counts, and so does what follows on an idle connection', {
        timeout: 60_000,
      }, async () => {
        using slow = await RawConnection.connect(port)
        using idle = await RawConnection.connect(port)
        const request = post('key=slow&value=1')
        idle.send(request)
        expect((await idle.answer()).status).toBe(200)
        const bytes = post('key=slow&value=1'.padEnd(30, '&'))
        slow.send(bytes.slice(0, -15))
        for (let left = 15; left > 0; left--) {
          await new Promise(resolve => setTimeout(resolve, 1_000))
          slow.send(bytes.slice(-left).slice(0, 1))
        }
        expect((await slow.answer()).status).toBe(200)
        idle.send(request)
        expect((await idle.answer()).status).toBe(200)
        await expectTotal('slow', 3)
      })
    },
  )
}
