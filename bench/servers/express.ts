import { runExpress } from '../../apps/express/main.ts'
import { webOptions } from '../../intake/options.ts'
import { parseOptions } from '../../lib/config/options.ts'

/** apps/express, with the options of a web process. */
process.exitCode = await runExpress(parseOptions(webOptions, process.argv.slice(2), {}).values)
