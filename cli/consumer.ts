import { runConsumer } from '../consumer/main.ts'
import { consumerOptions } from '../consumer/options.ts'
import { createLog } from '../lib/log.ts'
import { stopSignals } from '../lib/stop-signals.ts'
import { command } from './command.ts'
import { isRestart, processName } from './process-name.ts'
import { warnOfVariables } from './variables.ts'

export const consumerCommand = command({
  name: 'consumer',
  parameters: [],
  summary: 'the consumer: writes totals into the database (needs --redis)',
  about: 'One consumer a database; a second one is refused.',
  options: consumerOptions,
  async run({ values }, context) {
    const { environment, isTerminal } = context
    const name = processName(environment)
    const { logLevel: level, logFormat: format } = values
    if (name === null)
      await warnOfVariables(createLog({ level, format, process: 'consumer', isTerminal }), context)
    return runConsumer(values, {
      process: name ?? 'consumer',
      isRestart: isRestart(environment),
      stopSignals: stopSignals(environment),
    })
  },
})
