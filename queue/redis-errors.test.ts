import { expect, test } from 'vitest'
import { classifyRedisError } from './redis-errors.ts'

const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' })

test.each([
  [reply("OOM command not allowed when used memory > 'maxmemory'."), 'queue_full'],
  [reply("READONLY You can't write against a read only replica."), 'queue_read_only'],
  [reply('LOADING Redis is loading the dataset in memory'), 'queue_loading'],
  [reply('BUSY Redis is busy running a script.'), 'queue_loading'],
  [reply('NOAUTH Authentication required.'), 'queue_credentials'],
  [reply('WRONGPASS invalid username-password pair'), 'queue_credentials'],
  [reply('FOREIGN 0b5f'), 'queue_foreign'],
  [reply('MISCONF Redis is configured to save RDB snapshots'), 'queue_refused'],
  [reply('ERR unknown command'), 'queue_refused'],
  [new Error('connect ECONNREFUSED'), 'queue_unreachable'],
  [new Error(''), 'queue_unreachable'],
])('%s is %s', (error, code) => {
  expect(classifyRedisError(error)).toMatchObject({ code })
})
