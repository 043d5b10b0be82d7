import { runConsumer } from '../consumer/main.ts'
import { consumerOptions } from '../consumer/options.ts'
import { stopSignals } from '../lib/stop-signals.ts'
import { command } from './command.ts'
import { isRestart, processName } from './process-name.ts'

export const consumerCommand = command({
  name: 'consumer',
  parameters: [],
  summary: 'the consumer: writes totals into the database (needs --redis)',
  about: 'One consumer a database; a second one is refused.',
  options: consumerOptions,
  run({ values }, { environment }) {
    const process = processName(environment) ?? 'consumer'
    return runConsumer(values, { process, isRestart: isRestart(environment), stopSignals: stopSignals(environment) })
  },
})
