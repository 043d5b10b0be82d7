import { parseArgs } from 'node:util'
import { isDerivedVariable } from './derived-variables.ts'
import { exitCodes, UsageError } from '../errors.ts'
import { didYouMean, nearestNames } from './nearest-names.ts'

/** One option: a flag, its environment variable, its default, its check and its line of help. */
export interface Option<T> {
  /** Placeholder of the value in the help: `MS`, `URL`. Empty for a switch, which takes no value. */
  readonly placeholder: string
  /** The default as a person would type it; null when there is none. */
  readonly fallback: string | null
  /** Says in the help what is used where there is no default; `none` if this is missing. */
  readonly absent?: string
  readonly help: string
  /** A description of valid values, to follow `must be`. */
  readonly expected: string
  /** Hidden in `config show`, as it may hold a password. */
  readonly secret?: boolean
  /** The value, or undefined when `text` is not a valid one. */
  parse(text: string): T | undefined
}

/**
 * Options by name in camelCase: `flushIntervalMs` is `--flush-interval-ms` and `PICCOLO_FLUSH_INTERVAL_MS`.
 */
export type OptionTable = Readonly<Record<string, Option<unknown>>>
export type OptionValues<Table extends OptionTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Option<infer T> ? T : never
}
type OptionSource = 'flag' | 'environment' | 'default'

export interface ParsedOptions<Table extends OptionTable> {
  readonly values: OptionValues<Table>
  readonly sources: Readonly<Record<keyof Table, OptionSource>>
  /** Arguments that are not options, in order. */
  readonly positionals: readonly string[]
}

export function integerOption(spec: {
  min: number
  max: number
  fallback: number
  placeholder: string
  help: string
}): Option<number> {
  return {
    ...spec,
    fallback: String(spec.fallback),
    expected: `${spec.min} to ${spec.max}`,
    parse(text) {
      const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
      return value >= spec.min && value <= spec.max ? value : undefined
    },
  }
}

export function textOption(spec: { fallback: string; placeholder: string; help: string }): Option<string> {
  return { ...spec, expected: 'a non-empty text', parse: text => (text === '' ? undefined : text) }
}

export function choiceOption<const T extends string>(spec: {
  choices: readonly T[]
  fallback: NoInfer<T>
  /** Default: the choices themselves. */
  placeholder?: string
  help: string
}): Option<T> {
  return {
    fallback: spec.fallback,
    help: spec.help,
    placeholder: spec.placeholder ?? spec.choices.join('|'),
    expected: `one of ${spec.choices.join(', ')}`,
    parse: text => spec.choices.find(choice => choice === text),
  }
}

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const durationPattern = /^(\d{1,9})([smhd])$/

/** A time span such as `90s`, `15m`, `24h` or `7d`; `durationMs` reads it. */
export function durationOption(spec: {
  fallback: string
  placeholder: string
  help: string
}): Option<string> {
  return {
    ...spec,
    expected: 'a time span such as 90s, 15m, 24h or 7d',
    parse: text => (isDuration(text) ? text : undefined),
  }
}

export function isDuration(text: string): boolean {
  return durationPattern.test(text)
}

/** Milliseconds of a time span that `durationOption` let through. */
export function durationMs(text: string): number {
  const [, count, unit] = durationPattern.exec(text)!
  return Number(count) * unitMs[unit as keyof typeof unitMs]
}

/** A switch: `--name`, or `PICCOLO_NAME=true`. */
export function switchOption(spec: { help: string }): Option<boolean> {
  return {
    help: spec.help,
    placeholder: '',
    fallback: 'false',
    expected: 'true or false',
    parse: text => ({ true: true, false: false })[text],
  }
}

export function flagName(name: string): string {
  return `--${name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`
}

export const variablePrefix = 'PICCOLO_'

export function variableName(name: string): string {
  return `${variablePrefix}${flagName(name).slice(2).replaceAll('-', '_').toUpperCase()}`
}

/** The value for an option in the environment; an empty one counts as none, as does one that is derived. */
function variableOf(
  name: string,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const variable = variableName(name)
  const value = environment[variable]
  return value && !isDerivedVariable(variable, value) ? value : undefined
}

/**
 * Flags beat the environment, which beats defaults. Throws UsageError naming the flag or variable at fault.
 */
export function parseOptions<Table extends OptionTable>(
  table: Table,
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): ParsedOptions<Table> {
  const { flags, positionals } = readFlags(table, args)
  const values: Record<string, unknown> = {}
  const sources: Record<string, OptionSource> = {}
  for (const [name, option] of Object.entries(table)) {
    const flag = flags.get(name)
    const variable = variableOf(name, environment)
    const given = flag ?? variable ?? option.fallback
    const source = flag !== undefined ? 'flag' : variable !== undefined ? 'environment' : 'default'
    const value = given === null ? null : option.parse(given)
    if (value === undefined) {
      const where = source === 'flag' ? flagName(name) : variableName(name)
      const exitCode = source === 'flag' ? exitCodes.badUsage : exitCodes.badConfiguration
      throw new UsageError(
        `${where} must be ${option.expected}, got ${option.secret ? 'something else' : given}`,
        exitCode,
      )
    }
    values[name] = value
    sources[name] = source
  }
  return {
    values: values as OptionValues<Table>,
    sources: sources as Record<keyof Table, OptionSource>,
    positionals,
  }
}

function readFlags(table: OptionTable, args: readonly string[]) {
  const names = new Map(Object.keys(table).map(name => [flagName(name).slice(2), name]))
  const options = Object.fromEntries(
    [...names].map(([flag, name]) => [
      flag,
      { type: table[name]!.placeholder ? 'string' : 'boolean' } as const,
    ]),
  )
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const flags = new Map<string, string>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const name = names.get(token.name)
    if (name === undefined) throw new UsageError(unknownFlag(token.rawName, [...names.keys()]))
    if (flags.has(name)) throw new UsageError(`${token.rawName} is given twice`)
    if (table[name]!.placeholder === '') {
      flags.set(name, token.value ?? 'true')
    } else {
      // `--port --host x` is a forgotten value, not a port called `--host`.
      if (token.value === undefined || (!token.inlineValue && token.value.startsWith('--')))
        throw new UsageError(`${token.rawName} needs a value: ${token.rawName} ${table[name]!.placeholder}`)
      flags.set(name, token.value)
    }
  }
  return { flags, positionals }
}

function unknownFlag(rawName: string, known: readonly string[]): string {
  const near = nearestNames(rawName.replace(/^-+/, ''), known).map(flag => `--${flag}`)
  return `unknown option ${rawName}${didYouMean(near)}`
}

/** Lines of `--flag PLACEHOLDER  what it does (default: x)`, aligned. */
export function optionsHelp(table: OptionTable): string {
  const rows = Object.entries(table).map(([name, option]) => {
    const left = option.placeholder === '' ? flagName(name) : `${flagName(name)} ${option.placeholder}`
    const fallback =
      option.placeholder === '' ? '' : ` (default: ${option.fallback ?? option.absent ?? 'none'})`
    return [left, `${option.help}${fallback}`] as const
  })
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n')
}

/** The values as environment variables, for a child process that parses the same options. */
export function optionsEnvironment<Table extends OptionTable>(
  table: Table,
  values: OptionValues<Table>,
): Record<string, string> {
  const entries = Object.keys(table).map(name => [variableName(name), values[name]] as const)
  return Object.fromEntries(
    entries.filter(([, value]) => value !== null).map(([key, value]) => [key, String(value)]),
  )
}
