import { runWeb } from '../../apps/web/main.ts'
import { webOptions } from '../../intake/options.ts'
import { exitCodes, UsageError } from '../../lib/errors.ts'
import { createLog, type Log } from '../../lib/process/log.ts'
import { stopSignals } from '../../lib/process/stop-signals.ts'
import { shownQueue, webBanner } from '../banner.ts'
import { command } from '../command.ts'
import { isInstanceUp } from '../up/instance.ts'
import { isRestart, processName } from '../process-name.ts'
import { warnOfVariables } from '../variables.ts'

export const webCommand = command({
  name: 'web',
  parameters: [],
  summary: 'one web process: takes increments (needs --redis)',
  about: 'Several web processes, on one machine or on many, may share a port and a Redis.',
  options: webOptions,
  async run({ values }, context) {
    const { environment, isTerminal } = context
    const name = processName(environment)
    if (name === null && (await isInstanceUp(values.port))) {
      const message = `--port ${values.port} belongs to a piccolo up on this machine, which would split the increments`
      throw new UsageError(message, exitCodes.badConfiguration)
    }
    const { logLevel: level, logFormat: format } = values
    if (name === null)
      await warnOfVariables(createLog({ level, format, process: 'web', isTerminal }), context)
    const onReady = (log: Log, version: string) => {
      if (isTerminal) context.print(webBanner(values, version))
      log.info({ version, host: values.host, port: values.port, queue: shownQueue(values) }, 'ready')
    }
    return runWeb(values, {
      onReady,
      process: name ?? 'web',
      isRestart: isRestart(environment),
      stopSignals: stopSignals(environment),
    })
  },
})
