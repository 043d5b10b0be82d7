import { logFormats, logLevels } from './log.ts'
import { choiceOption, integerOption, textOption } from './options.ts'

/** Options that every long-running process has. */
export const serviceOptions = {
  host: textOption({
    fallback: '127.0.0.1',
    placeholder: 'ADDRESS',
    help: 'address to listen on; 0.0.0.0 for every one of this machine',
  }),
  stalenessMaxMs: integerOption({
    min: 100,
    max: 3_600_000,
    fallback: 1_000,
    placeholder: 'MS',
    help: 'time from accept to commit that the service promises; past it, /readyz says so',
  }),
  stopTimeoutMs: integerOption({
    min: 1_000,
    max: 600_000,
    fallback: 10_000,
    placeholder: 'MS',
    help: 'how long a process may take to stop and hand on what it holds',
  }),
  logLevel: choiceOption({
    choices: logLevels,
    fallback: 'info',
    help: 'least severe events that are logged',
  }),
  logFormat: choiceOption({
    choices: logFormats,
    fallback: 'auto',
    help: 'auto is pretty on a terminal and JSON otherwise',
  }),
}
