import { expect, test } from 'vitest'
import { classifyRedisError } from './errors.ts'

const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' })

test.each([
  [reply("OOM command not allowed when used memory > 'maxmemory'."), 'queue_full'],
  [reply("READONLY You can't write against a read only replica."), 'queue_read_only'],
  [reply('LOADING Redis is loading the dataset in memory'), 'queue_loading'],
  [reply('BUSY Redis is busy running a script.'), 'queue_loading'],
  [reply('NOAUTH Authentication required.'), 'queue_credentials'],
  [reply('WRONGPASS invalid username-password pair'), 'queue_credentials'],
  [reply("NOPERM this user has no permissions to run the 'eval' command"), 'queue_forbidden'],
  [
    reply("ERR ACL failure in script: User x has no permissions to run the 'hset' command"),
    'queue_forbidden',
  ],
  [reply("ERR The user executing the script can't run this command or subcommand"), 'queue_forbidden'],
  [reply('FOREIGN 0b5f'), 'queue_foreign'],
  [reply('ALTERED 9 pushed, 0 applied'), 'queue_altered'],
  [reply('MISCONF Redis is configured to save RDB snapshots'), 'queue_refused'],
  [reply('ERR unknown command'), 'queue_refused'],
  [new Error('connect ECONNREFUSED'), 'queue_unreachable'],
  [new Error(''), 'queue_unreachable'],
])('%s is %s', (error, code) => {
  expect(classifyRedisError(error)).toMatchObject({ code })
})
