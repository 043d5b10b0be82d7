import { exitCodes, UsageError } from '../lib/errors.ts'
import { didYouMean } from '../lib/nearest-names.ts'
import { flagName, type OptionTable, type ParsedOptions } from '../lib/options.ts'
import { redisUrlToShow } from '../queue/redis-address.ts'
import { command } from './command.ts'
import { serviceOptions } from './up-options.ts'
import { strayVariables } from './variables.ts'

export const configCommand = command({
  name: 'config',
  parameters: ['show|check'],
  summary: 'show the options in force and where each comes from, or check them',
  about: 'check exits with 78 if an option or a PICCOLO_ variable is wrong or unknown.',
  options: serviceOptions,
  async run(parsed, context) {
    const { print } = context
    const [action] = parsed.positionals
    if (action !== 'show' && action !== 'check')
      throw new UsageError('piccolo config needs an action: piccolo config show, or piccolo config check')
    const { unknown, derived } = await strayVariables(context)
    if (action === 'show') for (const line of describe(serviceOptions, parsed)) print(line)
    if (unknown.length > 0) {
      const each = unknown.map(({ name, nearest }) => `${name}${didYouMean(nearest)}`)
      throw new UsageError(`unknown variable ${each.join(', ')}`, exitCodes.badConfiguration)
    }
    if (derived.length > 0) print(`Ignored, as Kubernetes or Docker set them: ${derived.join(', ')}`)
    if (action === 'check') print('The configuration is valid.')
    return exitCodes.done
  },
})

function describe<Table extends OptionTable>(
  table: Table,
  { values, sources }: ParsedOptions<Table>,
): string[] {
  const rows = Object.keys(table).map(name => {
    const value = values[name]
    const shown =
      name === 'redis' && typeof value === 'string' ? redisUrlToShow(value) : String(value ?? 'none')
    return [flagName(name), shown, sources[name]!] as const
  })
  const widths = [0, 1].map(column => Math.max(...rows.map(row => row[column]!.length)))
  return rows.map(
    ([flag, value, source]) => `${flag.padEnd(widths[0]!)}  ${value.padEnd(widths[1]!)}  ${source}`,
  )
}
