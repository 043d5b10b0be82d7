import { resolve } from 'node:path'
import type { OptionValues } from '../lib/config/options.ts'
import { redisUrlToShow } from '../queue/redis/address.ts'
import { urlHost } from './commands/health.ts'
import type { allOptions, upOptions } from './up/up-options.ts'

type Options = OptionValues<typeof allOptions>

/** Returns what a person at a terminal sees after the start, with commands that work when pasted. */
export function upBanner(options: OptionValues<typeof upOptions>, version: string, webCount: number): string {
  const select = `SELECT value FROM numbers WHERE key='foo'`
  return `${heading(version)}
    increments  ${incrementUrl(options)}  (${webCount} web process${webCount === 1 ? '' : 'es'})
${databaseRow(options)}
${queueRow(options)}

  Try, in another terminal:

${curlLine(options)}
    sqlite3 ${shellQuoted(resolve(options.database))} "${select}"

  Ctrl-C stops it; nothing is lost.
`
}

type Place = Pick<Options, 'host' | 'port' | 'redis'>

export function webBanner(options: Place, version: string): string {
  return `${heading(version)}
    increments  ${incrementUrl(options)}  (1 web process; piccolo consumer writes the totals)
${queueRow(options)}

  Try, in another terminal:

${curlLine(options)}

  Ctrl-C stops it; nothing is lost.
`
}

export function consumerBanner(
  options: Pick<Options, 'host' | 'consumerPort' | 'database' | 'redis'>,
  version: string,
): string {
  const { host, consumerPort } = options
  const status = consumerPort === 0 ? 'none' : `http://${urlHost(host)}:${consumerPort}/readyz`
  return `${heading(version)}
${databaseRow(options)}
${queueRow(options)}
    status      ${status}

  Ctrl-C stops it; nothing is lost.
`
}

function heading(version: string): string {
  return `\n  Piccolo Daimao ${version}\n`
}

function incrementUrl({ host, port }: Pick<Options, 'host' | 'port'>): string {
  return `http://${urlHost(host)}:${port}/increment`
}

function curlLine(options: Pick<Options, 'host' | 'port'>): string {
  return `    curl -d 'key=foo&value=5' ${incrementUrl(options)}`
}

function databaseRow({ database }: Pick<Options, 'database'>): string {
  return `    database    ${resolve(database)}`
}

function queueRow(options: Pick<Options, 'redis'>): string {
  return `    queue       ${shownQueue(options)}`
}

/** Returns the queue's address without its password. */
export function shownQueue({ redis }: Pick<Options, 'redis'>): string {
  return redis === null ? 'embedded, in the memory of this process' : redisUrlToShow(redis)
}

function shellQuoted(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
