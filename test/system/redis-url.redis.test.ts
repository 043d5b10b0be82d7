import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FaultyLink } from '../kit/faulty-link.ts'
import { RedisServer } from '../kit/redis-server.ts'
import { Folder, freePort, Program, Service } from '../kit/service.ts'

let certificates: Folder
let server: RedisServer
let port: number
let tlsPort: number

beforeAll(async () => {
  certificates = new Folder()
  const [key, certificate] = ['key.pem', 'certificate.pem'].map(name => join(certificates.path, name)) as [
    string,
    string,
  ]
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const files = ['-keyout', key, '-out', certificate]
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...names, ...files],
    {
      stdio: 'pipe',
    },
  )
  process.env.NODE_EXTRA_CA_CERTS = certificate
  port = await freePort()
  tlsPort = await freePort()
  const tls = ['--tls-cert-file', certificate, '--tls-key-file', key, '--tls-ca-cert-file', certificate]
  server = await RedisServer.start(
    ...['--bind', '127.0.0.1', '--port', String(port), '--tls-port', String(tlsPort)],
    ...['--tls-auth-clients', 'no', '--requirepass', 'p@ss:word', ...tls],
  )
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  certificates[Symbol.dispose]()
})

test.each([
  ['TCP, with a password and a database', () => `redis://:p%40ss%3Aword@127.0.0.1:${port}/2`],
  ['TLS', () => `REDISS://default:p%40ss%3Aword@localhost:${tlsPort}/3`],
])('Redis is reached by %s', async (_, url) => {
  using folder = new Folder()
  await using service = await Service.start(folder, '--redis', url())
  expect(await service.increment('foo', 5)).toBe(200)
  await service.hasTotals(new Map([['foo', '5']]))
})

test.each([
  ['a wrong password', () => `redis://:secret@127.0.0.1:${port}`, 69, /WRONGPASS.*\[queue_credentials\]/],
  ['no password', () => `redis://127.0.0.1:${port}`, 69, /NOAUTH.*\[queue_credentials\]/],
  [
    'nobody there',
    () => 'redis://127.0.0.1:9',
    69,
    /redis:\/\/127.0.0.1:9: .*ECONNREFUSED.*\[queue_unreachable\]/,
  ],
  [
    'a database that Redis does not have',
    () => `redis://:p%40ss%3Aword@127.0.0.1:${port}/99`,
    69,
    /out of range.*\[queue_refused\]/,
  ],
  ['no such socket', () => '/nowhere/redis.sock', 69, /ENOENT.*\[queue_unreachable\]/],
  ['an unknown parameter', () => 'redis://127.0.0.1?offlineQueue=true', 64, /--redis must be a redis:\/\//],
])('with %s the start fails in one line, without the password', async (_, url, exitCode, message) => {
  using folder = new Folder()
  const args = ['consumer', '--consumer-port', '0', '--database', folder.database, '--redis', url()]
  await using program = new Program(args)
  expect(await program.exited).toBe(exitCode)
  expect(program.output).toMatch(message)
  expect(program.output.trim().split('\n')).toHaveLength(1)
  expect(program.output).not.toContain('secret')
})

test('where Redis repeats the password in an error, the log does not', async () => {
  await using renamed = await RedisServer.start('--port', '0', '--rename-command', 'AUTH', '""')
  await using link = await FaultyLink.to(renamed.socket)
  using folder = new Folder()
  const url = `redis://me:top%25secret@127.0.0.1:${link.port}`
  const args = ['consumer', '--consumer-port', '0', '--database', folder.database, '--redis', url]
  await using program = new Program([...args, '--log-level', 'trace'])
  expect(await program.exited).toBe(69)
  expect(program.output).toMatch(/unknown command 'auth'.*\*\*\*/i)
  expect(program.output).not.toContain('secret')
})

test('a password that Redis does not ask for is told in the log, and only there', async () => {
  await using open = await RedisServer.start('--port', '0')
  await using link = await FaultyLink.to(open.socket)
  using folder = new Folder()
  await using service = await Service.start(folder, '--redis', `redis://:secret@127.0.0.1:${link.port}`)
  await service.says(/"level":"warn".*does not require a password/)
  for (const line of service.output.trim().split('\n')) expect(line).toMatch(/^\{/)
})
