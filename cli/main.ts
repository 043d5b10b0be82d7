import { enableCompileCache } from 'node:module'
import { codeVersion } from '../lib/process/code-version.ts'
import { classified } from '../lib/process/descriptors.ts'
import {
  classifySystemError,
  errorText,
  exitCodes,
  type ExitCode,
  fullErrorText,
  OperationError,
  UsageError,
} from '../lib/errors.ts'
import { didYouMean, nearestNames } from '../lib/config/nearest-names.ts'
import { optionsHelp, type OptionTable, parseOptions } from '../lib/config/options.ts'
import { ignoreOtherSignals, stopSignals } from '../lib/process/stop-signals.ts'
import type { Command } from './command.ts'
import { commands } from './commands.ts'

const versionNames: readonly string[] = ['version', '--version', '-v', '-V']
const helpFlags: readonly string[] = ['--help', '-h']
const helpNames: readonly string[] = ['help', ...helpFlags]

// Keeps what stripping types and compiling gave, which is half of the time that a start takes.
enableCompileCache()
ignoreOtherSignals(process)
if (!stopSignals(process.env).includes('SIGHUP')) process.on('SIGHUP', () => {})
process.exit(await main(process.argv.slice(2)))

async function main([name, ...args]: readonly string[]): Promise<ExitCode> {
  try {
    if (name !== undefined && versionNames.includes(name)) return say(codeVersion())
    if (name === undefined || helpNames.includes(name)) {
      const [about] = args
      if (about !== undefined && versionNames.includes(about)) return say(codeVersion())
      return say(
        about === undefined || helpNames.includes(about) ? await overview() : help(await find(about)),
      )
    }
    const command = await find(name)
    if (asksForHelp(args)) return say(help(command))
    return await run(command, args)
  } catch (error) {
    return explain(name, error)
  }
}

async function run(command: Command, args: readonly string[]): Promise<ExitCode> {
  const parsed = parsedOptions(command, args)
  const surplus = parsed.positionals[command.parameters.length]
  if (surplus !== undefined)
    throw new UsageError(`piccolo ${command.name} does not take ${JSON.stringify(withoutSecrets(surplus))}`)
  const print = (line: string) => console.log(line)
  const isTerminal = process.stdout.isTTY === true
  return command.run(parsed, { environment: process.env, print, isTerminal, allOptions })
}

/** Reports whether a flag asks for help; after `--` there are no flags. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return args.slice(0, end === -1 ? undefined : end).some(arg => helpFlags.includes(arg))
}

function find(name: string): Promise<Command> {
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (load !== undefined) return load()
  if (name.startsWith('-')) {
    const meant = didYouMean(nearestNames(name, ['--help', '--version']))
    const message = `${withoutSecrets(name)} stands before the command; write piccolo COMMAND --option VALUE`
    throw new UsageError(meant === '' ? message : `unknown option ${name}${meant}`)
  }
  const near = didYouMean(nearestNames(name, [...Object.keys(commands), 'help', 'version']))
  throw new UsageError(`there is no command ${name}${near || '; piccolo --help lists them'}`)
}

function parsedOptions({ options, wrongOptionExitCode }: Command, args: readonly string[]) {
  try {
    return parseOptions(options, args, process.env)
  } catch (error) {
    if (error instanceof UsageError && wrongOptionExitCode !== undefined)
      throw new UsageError(error.message, wrongOptionExitCode)
    throw error
  }
}

function say(text: string): ExitCode {
  console.log(text)
  return exitCodes.done
}

/** A mistake of the caller, or a refusal, gets one line; an internal error gets its stack. */
function explain(name: string | undefined, thrown: unknown): ExitCode {
  const error = classifySystemError(classified(thrown))
  const program = name === undefined || name.startsWith('-') ? 'piccolo' : `piccolo ${name}`
  if (error instanceof UsageError) {
    console.error(error.message.startsWith(`${program} `) ? error.message : `${program}: ${error.message}`)
    return error.exitCode
  }
  if (error instanceof OperationError) {
    console.error(`${program}: ${fullErrorText(error)} [${error.code}]: ${error.policy.hint}`)
    return error.policy.retry === 'never' ? exitCodes.badConfiguration : exitCodes.unavailable
  }
  console.error(error instanceof Error ? error.stack : errorText(error))
  return exitCodes.internalError
}

/** A URL without what may be a password: it may only lack its `--redis`. */
function withoutSecrets(argument: string): string {
  return argument.replace(/:\/\/.*/s, '://***')
}

async function allOptions(): Promise<OptionTable> {
  const all = await Promise.all(Object.values(commands).map(load => load()))
  return Object.assign({}, ...all.map(command => command.options))
}

async function overview(): Promise<string> {
  const all = await Promise.all(Object.values(commands).map(load => load()))
  const width = Math.max(...all.map(command => signature(command).length))
  const lines = all.map(command => `  ${signature(command).padEnd(width)}  ${command.summary}`)
  return `Piccolo Daimao ${codeVersion()} counts.

Usage: piccolo COMMAND [--option VALUE ...]

${lines.join('\n')}

piccolo COMMAND --help tells the options. Each is an environment variable, too: --flush-interval-ms is
PICCOLO_FLUSH_INTERVAL_MS. Flags beat the environment, which beats defaults.`
}

function help(command: Command): string {
  const about = command.about === undefined ? '' : `\n${command.about}\n`
  return `Usage: piccolo ${signature(command)} [--option VALUE ...]

${command.summary[0]!.toUpperCase()}${command.summary.slice(1)}.
${about}
${optionsHelp(command.options)}`
}

function signature(command: Command): string {
  return [command.name, ...command.parameters].join(' ')
}
