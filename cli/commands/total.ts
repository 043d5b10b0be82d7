import { exitCodes, UsageError } from '../../lib/errors.ts'
import { openStoreReader } from '../../store/open.ts'
import { databaseOptions } from '../../lib/config/database-options.ts'
import { command } from '../command.ts'

export const totalCommand = command({
  name: 'total',
  parameters: ['KEY'],
  summary: 'print the total of a key',
  about: 'Reads the database beside the consumer. A key that was never counted has the total 0.',
  options: databaseOptions,
  async run({ values, positionals }, { print }) {
    const [key] = positionals
    if (key === undefined || key === '') throw new UsageError('piccolo total needs a key: piccolo total foo')
    const reader = await openStoreReader(values.database)
    try {
      print(String(await reader.total(key)))
    } finally {
      await reader.close()
    }
    return exitCodes.done
  },
})
