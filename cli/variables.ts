import { isDerivedVariable } from '../lib/config/derived-variables.ts'
import type { Log } from '../lib/process/log.ts'
import { nearestNames } from '../lib/config/nearest-names.ts'
import { variableName, variablePrefix } from '../lib/config/options.ts'
import { ignoreHangUpVariable } from '../lib/process/stop-signals.ts'
import type { CommandContext } from './command.ts'
import { processNameVariable, restartVariable } from './process-name.ts'

/** The variables of the launcher, of `piccolo up`, of the units and of the Vagrantfile. */
const otherVariables = [
  processNameVariable,
  restartVariable,
  ignoreHangUpVariable,
  'PICCOLO_NODE',
  'PICCOLO_BUILD',
  'PICCOLO_VAGRANT_BOX',
  'PICCOLO_VAGRANT_ARCH',
]

/** Variables with our prefix that change nothing. */
export interface StrayVariables {
  /** Nearly always a typing error; with the names that may have been meant. */
  readonly unknown: readonly { readonly name: string; readonly nearest: readonly string[] }[]
  /** Set by Kubernetes or Docker. */
  readonly derived: readonly string[]
}

export async function strayVariables({ environment, allOptions }: CommandContext): Promise<StrayVariables> {
  const set = Object.entries(environment).filter(([name, value]) => name.startsWith(variablePrefix) && value)
  if (set.length === 0) return { unknown: [], derived: [] }
  const options = Object.keys(await allOptions()).map(variableName)
  const derived = set.filter(([name, value]) => isDerivedVariable(name, value!)).map(([name]) => name)
  const known = new Set([...options, ...otherVariables, ...derived])
  const unknown = set
    .filter(([name]) => !known.has(name))
    .map(([name]) => ({ name, nearest: nearest(name, options) }))
  return { unknown, derived }
}

/** Warns of stray variables in the log, at the start of a process that none of ours started. */
export async function warnOfVariables(log: Log, context: CommandContext): Promise<void> {
  const { unknown, derived } = await strayVariables(context)
  for (const { name, nearest } of unknown)
    log.warn({ variable: name, nearest }, 'an unknown variable is ignored')
  if (derived.length > 0)
    log.warn({ variables: derived }, 'variables that Kubernetes or Docker derived from a name are ignored')
}

function nearest(name: string, known: readonly string[]): string[] {
  const bare = (variable: string) => variable.slice(variablePrefix.length)
  return nearestNames(bare(name), known.map(bare)).map(each => variablePrefix + each)
}
