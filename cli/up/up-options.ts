import { webOptions } from '../../intake/options.ts'
import { consumerOptions } from '../../consumer/options.ts'
import type { Option } from '../../lib/config/options.ts'

const webProcessesMax = 256

const webProcesses: Option<number | 'auto'> = {
  placeholder: 'COUNT',
  fallback: 'auto',
  help: 'number of web processes; auto is one for each core but one',
  expected: `auto, or 1 to ${webProcessesMax}`,
  parse(text) {
    if (text === 'auto') return 'auto'
    const count = /^\d{1,3}$/.test(text) ? Number(text) : 0
    return count >= 1 && count <= webProcessesMax ? count : undefined
  },
}

/** The options of every role together: all that the configuration of a machine can have. */
export const allOptions = { ...webOptions, webProcesses, ...consumerOptions }

/** A consumer that `piccolo up` started has no port: its metrics come from any web process. */
const { consumerPort: _, ...withoutConsumerPort } = allOptions
export const upOptions = withoutConsumerPort
