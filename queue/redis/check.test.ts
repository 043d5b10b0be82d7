import { expect, test } from 'vitest'
import { checkRedisServer } from './check.ts'

const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' })
const call = async () => ['server', 'redis', 'version', '7.0.15']
const server = (version: string, policy: string | null) => ({
  call,
  info: async (section: string) =>
    section === 'server'
      ? `# Server\r\nredis_version:${version}\r\nos:Linux\r\n`
      : `# Memory\r\n${policy === null ? '' : `maxmemory_policy:${policy}\r\n`}`,
})

test('a server that keeps what it is given is taken', async () => {
  expect(await checkRedisServer(server('6.0.16', 'noeviction'))).toEqual({ major: 6, isPolicyKnown: true })
  expect(await checkRedisServer(server('7.2.4', 'noeviction'))).toEqual({ major: 7, isPolicyKnown: true })
  expect(await checkRedisServer(server('7.2.4', null))).toEqual({ major: 7, isPolicyKnown: true })
})

test('a server that is too old, or that may evict, is refused', async () => {
  await expect(checkRedisServer(server('5.0.7', 'noeviction'))).rejects.toMatchObject({
    code: 'queue_too_old',
  })
  await expect(checkRedisServer(server('7.0.15', 'allkeys-lru'))).rejects.toMatchObject({
    code: 'queue_eviction',
  })
  await expect(checkRedisServer({ info: async () => '', call })).rejects.toMatchObject({
    code: 'queue_too_old',
  })
})

test.each(["NOPERM this user has no permissions to run the 'info' command", "ERR unknown command 'info'"])(
  'a server that answers INFO with %s says its version otherwise',
  async message => {
    const info = async () => {
      throw reply(message)
    }
    expect(await checkRedisServer({ info, call })).toEqual({ major: 7, isPolicyKnown: false })
    const unknown = async () => {
      throw reply("ERR unknown command 'HELLO'")
    }
    const old = checkRedisServer({ info, call: unknown })
    await expect(old).rejects.toMatchObject({ code: 'queue_too_old' })
  },
)

test('a server that cannot answer now is not judged', async () => {
  const info = async () => {
    throw reply('BUSY Redis is busy running a script.')
  }
  await expect(checkRedisServer({ info, call })).rejects.toThrow('BUSY')
})
