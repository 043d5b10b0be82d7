import { choiceOption, integerOption, type Option } from '../lib/config/options.ts'
import { serviceOptions } from '../lib/config/service-options.ts'
import { queueOptions, stateOptions } from '../queue/options.ts'
import { databaseOptions } from '../lib/config/database-options.ts'
import { parseHosts } from './http/hosts.ts'
import { parseOrigins } from './http/origins.ts'
import { acks } from './send/ack-waiters.ts'

export const webOptions = {
  port: integerOption({
    min: 1,
    max: 65_535,
    fallback: 3333,
    placeholder: 'PORT',
    help: 'where web processes take increments; several share it',
  }),
  ...databaseOptions,
  ...stateOptions,
  ...queueOptions,
  flushIntervalMs: integerOption({
    min: 10,
    max: 60_000,
    fallback: 100,
    placeholder: 'MS',
    help: 'how often sums go to the queue',
  }),
  keysMax: integerOption({
    min: 1_000,
    max: 8_000_000,
    fallback: 1_000_000,
    placeholder: 'COUNT',
    help: 'distinct keys that may wait in a web process; one more is answered 503',
  }),
  bodyBytesMax: integerOption({
    min: 1_024,
    max: 67_108_864,
    fallback: 1_048_576,
    placeholder: 'BYTES',
    help: 'largest body of a request',
  }),
  connectionsMax: integerOption({
    min: 1,
    max: 1_000_000,
    fallback: 50_000,
    placeholder: 'COUNT',
    help: 'connections that a web process serves; requests on further ones are answered 503',
  }),
  defaultAck: choiceOption({
    choices: acks,
    fallback: 'memory',
    placeholder: 'ACK',
    help: 'what an answer promises when the request does not say: memory, queued or committed',
  }),
  ackTimeoutMs: integerOption({
    min: 100,
    max: 600_000,
    fallback: 5_000,
    placeholder: 'MS',
    help: 'how long a request waits for queued or committed; then it is answered 202',
  }),
  waitingMax: integerOption({
    min: 1,
    max: 1_000_000,
    fallback: 10_000,
    placeholder: 'COUNT',
    help: 'requests that may wait so in a web process; one more is answered 503',
  }),
  corsOrigins: {
    placeholder: 'ORIGINS',
    fallback: null,
    absent: 'only its own',
    help: 'pages that may count through a browser, by their origins, separated by commas; * is all',
    expected: 'origins such as https://example.com or http://localhost:8080, separated by commas, null, or *',
    parse: parseOrigins,
  } satisfies Option<string | null> as Option<string | null>,
  hosts: {
    placeholder: 'NAMES',
    fallback: null,
    absent: 'only addresses and localhost',
    help: 'names at which its own pages may count through a browser, separated by commas; * is all',
    expected: 'names without ports such as counter.example.com, separated by commas, or *',
    parse: parseHosts,
  } satisfies Option<string | null> as Option<string | null>,
  ...serviceOptions,
}
