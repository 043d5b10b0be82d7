import { resolve } from 'node:path'
import type { OptionValues } from '../lib/options.ts'
import { redisUrlToShow } from '../queue/redis-address.ts'
import { urlHost } from './health.ts'
import type { upOptions } from './up-options.ts'

/** What a person at a terminal sees once everything is started, with commands that work when pasted. */
export function banner(options: OptionValues<typeof upOptions>, version: string, webCount: number): string {
  const url = `http://${urlHost(options.host)}:${options.port}`
  const queue =
    options.redis === null ? 'embedded, in the memory of this process' : redisUrlToShow(options.redis)
  const select = `SELECT value FROM numbers WHERE key='foo'`
  return `
  Piccolo Daimao ${version}

    increments  ${url}/increment  (${webCount} web process${webCount === 1 ? '' : 'es'})
    database    ${resolve(options.database)}
    queue       ${queue}

  Try, in another terminal:

    curl -d 'key=foo&value=5' ${url}/increment
    sqlite3 ${shellQuoted(resolve(options.database))} "${select}"

  Ctrl-C stops it; nothing is lost.
`
}

function shellQuoted(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
