import type { ExitCode } from '../lib/errors.ts'
import type { OptionTable, ParsedOptions } from '../lib/config/options.ts'

/** The parts of its process that a command may touch. */
export interface CommandContext {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Writes a line for the caller. */
  print(line: string): void
  readonly isTerminal: boolean
  /** The options of every command. */
  allOptions(): Promise<OptionTable>
}

export interface Command<Table extends OptionTable = OptionTable> {
  readonly name: string
  /** Parameters behind the name: `KEY`. Empty when the command takes options only. */
  readonly parameters: readonly string[]
  readonly summary: string
  /** More about it, for its own help. */
  readonly about?: string
  readonly options: Table
  /** Exit code for a wrong option. Default: bad usage for a flag, bad configuration for a variable. */
  readonly wrongOptionExitCode?: ExitCode
  run(parsed: ParsedOptions<Table>, context: CommandContext): Promise<ExitCode>
}

/** Keeps the types of a command's options inside it, so that all commands can stand in one list. */
export function command<Table extends OptionTable>(definition: Command<Table>): Command {
  return definition as unknown as Command
}
