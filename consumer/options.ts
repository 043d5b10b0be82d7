import { integerOption, switchOption } from '../lib/options.ts'
import { queueOptions } from '../queue/options.ts'
import { serviceOptions } from '../lib/service-options.ts'
import { storeOptions } from '../store/options.ts'

export const consumerOptions = {
  ...queueOptions,
  ...storeOptions,
  consumerPort: integerOption({
    min: 0,
    max: 65_535,
    fallback: 3335,
    placeholder: 'PORT',
    help: 'where a consumer of its own answers /healthz, /readyz and /metrics; 0 for nowhere',
  }),
  producerGoneAfterMs: integerOption({
    min: 5_000,
    max: 86_400_000,
    fallback: 60_000,
    placeholder: 'MS',
    help: 'silence after which batches that a web process took with it are given up',
  }),
  acceptOlderStore: switchOption({
    help: 'start although the database is older than what was confirmed, and record the loss',
  }),
  ...serviceOptions,
}
