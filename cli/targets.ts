import { exitCodes } from '../lib/errors.ts'
import { command } from './command.ts'
export const targetsCommand = command({
  name: 'targets',
  parameters: ['COUNT', 'HOST'],
  summary: 'x',
  options: {},
  async run() {
    return exitCodes.fault
  },
})
