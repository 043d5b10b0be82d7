import { type ParseArgsConfig, parseArgs } from 'node:util'

/** Parses the options of a program for developers; ends it with `usage` when asked, or when they are wrong. */
export function programOptions<const Options extends NonNullable<ParseArgsConfig['options']>>(
  usage: string,
  options: Options,
) {
  if (process.argv.includes('--help')) {
    console.log(usage)
    process.exit(0)
  }
  try {
    return parseArgs({ options }).values
  } catch (error) {
    console.error((error as Error).message)
    return misused(usage)
  }
}

export function misused(usage: string): never {
  console.error(usage)
  process.exit(64)
}
