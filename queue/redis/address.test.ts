import { expect, test } from 'vitest'
import { redisAddress, redisUrlToShow } from './address.ts'

test.each([
  ['redis://h', { host: 'h', port: 6379, db: 0 }, 'redis://h'],
  ['redis://h:1/2', { host: 'h', port: 1, db: 2 }, 'redis://h:1/2'],
  ['redis://h?db=3&family=6', { host: 'h', db: 3, family: 6 }, 'redis://h?db=3&family=6'],
  ['redis://:secret@h', { username: '', password: 'secret' }, 'redis://:***@h'],
  ['redis://user:secret@h', { username: 'user', password: 'secret' }, 'redis://user:***@h'],
  ['REDIS://user:secret@h', { username: 'user', password: 'secret' }, 'redis://user:***@h'],
  ['REDISS://:secret@h', { password: 'secret', tls: {} }, 'rediss://:***@h'],
  ['rediss://us%40er:secret@h', { username: 'us@er', tls: {} }, 'rediss://us%40er:***@h'],
  // Somebody forgot the colon: what stands there may be the password.
  ['redis://secret@h', { username: 'secret', password: '' }, 'redis://***@h'],
  ['redis://:se@cret@h', { host: 'h', password: 'se@cret' }, 'redis://:***@h'],
  ['redis://:se:cret@h', { password: 'se:cret' }, 'redis://:***@h'],
  ['redis://:100%25secret%2F%23%40@h', { password: '100%secret/#@' }, 'redis://:***@h'],
  ['redis://:secret ü@h', { password: 'secret ü' }, 'redis://:***@h'],
  ['redis://u:secret@[::1]:7', { host: '::1', port: 7 }, 'redis://u:***@[::1]:7'],
  ['/run/redis.sock', { path: '/run/redis.sock' }, '/run/redis.sock'],
  ['unix:///run/redis.sock', { path: '/run/redis.sock' }, '/run/redis.sock'],
  ['/run/a:b@c.sock', { path: '/run/a:b@c.sock' }, '/run/a:b@c.sock'],
])('%s leads to the right place, and is shown as %3$s', (text, expected, shown) => {
  expect(redisAddress(text)).toMatchObject(expected)
  expect(redisAddress(text)?.tls).toEqual('tls' in expected ? {} : undefined)
  expect(redisUrlToShow(text)).toBe(shown)
})

test.each([
  'redis://:100%secret@h',
  'redis://:secret%zz@h',
  'redis://secret%@h',
  'redis://:secret%ff@h',
  'redis://:sec#secret@h',
  'redis://user:12#secret@h',
  'redis://:sec/secret@h',
  'redis://user:12/secret@h',
  'redis://user:12?secret@h',
  'redis://h?password=secret',
  'redis://h?db=secret',
  'redis://h?db=1&db=secret',
  'redis://h?family=secret',
  'redis://h/secret',
  'redis://h:secret',
  'redis://:secret@h:0',
  'redis://:secret@300.1.1.1',
  'redis://:secret@10.0.0',
  'redis://:secret@',
  'redis:secret',
  'redis:/secret@h',
  '//:secret@h',
  'unix:////:secret@h',
  'http://:secret@h',
  'unix:///run/redis.sock?password=secret',
  '/run/redis.sock?password=secret',
  'secret',
  '://secret@h',
  '',
])('%s is no address, and nothing that could be a password of it is shown', text => {
  expect(redisAddress(text)).toBeNull()
  expect(redisUrlToShow(text)).not.toContain('sec')
})
