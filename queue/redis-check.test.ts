import { expect, test } from 'vitest'
import { checkRedisServer } from './redis-check.ts'

const server = (version: string, policy: string | null) => ({
  info: async (section: string) =>
    section === 'server'
      ? `# Server\r\nredis_version:${version}\r\nos:Linux\r\n`
      : `# Memory\r\n${policy === null ? '' : `maxmemory_policy:${policy}\r\n`}`,
})

test('a server that keeps what it is given is taken', async () => {
  expect(await checkRedisServer(server('6.0.16', 'noeviction'))).toEqual({ major: 6 })
  expect(await checkRedisServer(server('7.2.4', 'noeviction'))).toEqual({ major: 7 })
  expect(await checkRedisServer(server('7.2.4', null))).toEqual({ major: 7 })
})

test('a server that is too old, or that may evict, is refused', async () => {
  await expect(checkRedisServer(server('5.0.7', 'noeviction'))).rejects.toMatchObject({
    code: 'queue_too_old',
  })
  await expect(checkRedisServer(server('7.0.15', 'allkeys-lru'))).rejects.toMatchObject({
    code: 'queue_eviction',
  })
  await expect(checkRedisServer({ info: async () => '' })).rejects.toMatchObject({ code: 'queue_too_old' })
})
