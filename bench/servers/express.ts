import { runExpress } from '../../apps/express/main.ts'
import { webOptions } from '../../apps/web/options.ts'
import { parseOptions } from '../../lib/options.ts'

/** apps/express, with the options of a web process. */
process.exitCode = await runExpress(parseOptions(webOptions, process.argv.slice(2), {}).values)
