import { webOptions } from '../apps/web/options.ts'
import { consumerOptions } from '../consumer/options.ts'
import type { Option } from '../lib/options.ts'

const webProcessesMax = 256

/** Everything that the web processes and the consumer can be told, and how many web processes there are. */
export const upOptions = {
  ...webOptions,
  ...consumerOptions,
  webProcesses: {
    placeholder: 'COUNT',
    fallback: 'auto',
    help: 'number of web processes; auto is one for each core but one',
    expected: `auto, or 1 to ${webProcessesMax}`,
    parse(text) {
      if (text === 'auto') return 'auto'
      const count = /^\d{1,3}$/.test(text) ? Number(text) : 0
      return count >= 1 && count <= webProcessesMax ? count : undefined
    },
  } satisfies Option<number | 'auto'> as Option<number | 'auto'>,
}
