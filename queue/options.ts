import type { Option } from '../lib/config/options.ts'
import { redisAddress } from './redis/address.ts'

export const queueOptions = {
  redis: {
    placeholder: 'URL',
    fallback: null,
    secret: true,
    help: 'Redis for the queue: redis://, rediss://, or the path of a unix socket',
    expected:
      'a redis:// or rediss:// URL with a host that can be, its user and password percent-encoded (% is %25, / is %2F, # is %23, ' +
      '? is %3F, @ is %40), or the absolute path of a unix socket',
    parse: text => (redisAddress(text) === null ? undefined : text),
  } satisfies Option<string | null> as Option<string | null>,
}

export const stateOptions = {
  stateDir: {
    placeholder: 'PATH',
    fallback: null,
    absent: 'the folder of the database',
    help: 'folder for what a stop could not hand on',
    expected: 'a non-empty path',
    parse: text => (text === '' ? undefined : text),
  } satisfies Option<string | null> as Option<string | null>,
}
