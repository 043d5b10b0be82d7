import { runConsumer } from '../../consumer/main.ts'
import { mayArrive } from '../../intake/handover/may-arrive.ts'
import { consumerOptions } from '../../consumer/options.ts'
import { createLog, type Log } from '../../lib/process/log.ts'
import { stopSignals } from '../../lib/process/stop-signals.ts'
import { consumerBanner, shownQueue } from '../banner.ts'
import { command } from '../command.ts'
import { isRestart, processName } from '../process-name.ts'
import { warnOfVariables } from '../variables.ts'

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
    const onReady = (log: Log, version: string) => {
      if (isTerminal) context.print(consumerBanner(values, version))
      const { host, consumerPort, database } = values
      log.info({ version, host, consumerPort, database, queue: shownQueue(values) }, 'ready')
    }
    return runConsumer(values, {
      onReady,
      process: name ?? 'consumer',
      isRestart: isRestart(environment),
      mayArrive: (clock, log) => mayArrive(values, clock, log),
      stopSignals: stopSignals(environment),
    })
  },
})
