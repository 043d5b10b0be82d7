import { durationOption, integerOption, switchOption } from '../lib/config/options.ts'
import { queueOptions, stateOptions } from '../queue/options.ts'
import { serviceOptions } from '../lib/config/service-options.ts'
import { databaseOptions } from '../lib/config/database-options.ts'

export const consumerOptions = {
  ...queueOptions,
  ...databaseOptions,
  ...stateOptions,
  consumerPort: integerOption({
    min: 0,
    max: 65_535,
    fallback: 3335,
    placeholder: 'PORT',
    help: '/healthz, /readyz and /metrics of a consumer on its own; 0 for none',
  }),
  producerGoneAfterMs: integerOption({
    min: 5_000,
    max: 86_400_000,
    fallback: 60_000,
    placeholder: 'MS',
    help: 'silence after which what a dead web process took with it is given up',
  }),
  idempotencyWindow: durationOption({
    fallback: '24h',
    placeholder: 'SPAN',
    help: 'how long a repeated Idempotency-Key is recognised, at least',
  }),
  idempotencyKeysMax: integerOption({
    min: 1_000,
    max: 1_000_000_000,
    fallback: 20_000_000,
    placeholder: 'COUNT',
    help: 'idempotency keys that are kept; a request with one more is answered 503',
  }),
  acceptOlderStore: switchOption({
    help: 'start with a database older than what was confirmed; record the loss',
  }),
  ...serviceOptions,
}
