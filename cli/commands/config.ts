import { exitCodes, UsageError } from '../../lib/errors.ts'
import { didYouMean, nearestNames } from '../../lib/config/nearest-names.ts'
import { flagName, type OptionTable, type ParsedOptions } from '../../lib/config/options.ts'
import { redisUrlToShow } from '../../queue/redis/address.ts'
import { optionProblems } from '../check-options.ts'
import { command } from '../command.ts'
import { allOptions } from '../up/up-options.ts'
import { strayVariables } from '../variables.ts'

const actions = ['show', 'check'] as const

export const configCommand = command({
  name: 'config',
  parameters: ['show|check'],
  summary: 'show the options in force and where each comes from, or check them',
  about:
    'check exits with 78 if an option or a PICCOLO_ variable is wrong or unknown, or if a service could not\n' +
    'work with them: equal ports, an address that is not there, a database of another program.',
  wrongOptionExitCode: exitCodes.badConfiguration,
  options: allOptions,
  async run(parsed, context) {
    const { print } = context
    const [action] = parsed.positionals
    if (action !== 'show' && action !== 'check') throw new UsageError(whichAction(action))
    const { unknown, derived } = await strayVariables(context)
    if (action === 'show') for (const line of describe(allOptions, parsed)) print(line)
    const problems = unknown.map(({ name, nearest }) => `unknown variable ${name}${didYouMean(nearest)}`)
    if (action === 'check') problems.push(...(await optionProblems(parsed.values)))
    if (problems.length > 0)
      throw new UsageError(problems.join('\npiccolo config: '), exitCodes.badConfiguration)
    if (derived.length > 0) print(`Ignored, as Kubernetes or Docker set them: ${derived.join(', ')}`)
    if (action === 'check') print('The configuration is valid.')
    return exitCodes.done
  },
})

function whichAction(given: string | undefined): string {
  if (given === undefined)
    return 'piccolo config needs an action: piccolo config show, or piccolo config check'
  return `there is no action ${given}${didYouMean(nearestNames(given, actions)) || '; there are show and check'}`
}

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
