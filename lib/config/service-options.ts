import { logFormats, logLevels } from '../process/log.ts'
import { choiceOption, integerOption, textOption } from './options.ts'

/** Options that every long-running process has. */
export const serviceOptions = {
  host: textOption({
    fallback: '127.0.0.1',
    placeholder: 'ADDRESS',
    help: 'address to listen on; 0.0.0.0 for all addresses',
  }),
  stalenessMaxMs: integerOption({
    min: 100,
    max: 3_600_000,
    fallback: 1_000,
    placeholder: 'MS',
    help: 'promised time from accept to commit; past it, /readyz says so',
  }),
  stopTimeoutMs: integerOption({
    min: 1_000,
    max: 600_000,
    fallback: 10_000,
    placeholder: 'MS',
    help: 'time to stop in, and to hand on what is held',
  }),
  logLevel: choiceOption({
    choices: logLevels,
    fallback: 'info',
    placeholder: 'LEVEL',
    help: `least severe events in the log: ${logLevels.join(', ')}`,
  }),
  logFormat: choiceOption({
    choices: logFormats,
    fallback: 'auto',
    placeholder: 'FORMAT',
    help: 'pretty, json, or auto: pretty on a terminal and JSON otherwise',
  }),
}
