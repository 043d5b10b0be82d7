import { isIPv4 } from 'node:net'

/** Where a Redis is and who asks, in the words of ioredis. */
export interface RedisAddress {
  /** The path of a unix socket; only `db` is given with it. */
  readonly path?: string
  readonly host?: string
  readonly port?: number
  /** 4 or 6; 0 for either. */
  readonly family?: number
  readonly db: number
  readonly username?: string
  readonly password?: string
  readonly tls?: object
}

const defaultPort = 6379

/**
 * The Redis that `text` names: a `redis://` or `rediss://` URL, or the absolute path of a unix socket, with
 * or without `unix://`. Null when it names none for certain: the text behind a bare `#`, `/` or `?` of a
 * password would become another host, and a bare `%` cannot be decoded.
 */
export function redisAddress(text: string): RedisAddress | null {
  const path = socketPath(text)
  if (path !== null) return path.includes('?') ? null : { path, db: 0 }
  const url = redisUrl(text)
  const parameters = url && readParameters(url)
  if (!url || !parameters) return null
  try {
    return {
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? defaultPort : Number(url.port),
      ...parameters,
      username: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
    }
  } catch {
    return null
  }
}

/** The same without its password, fit to be shown. Of what is no address, nothing but the scheme. */
export function redisUrlToShow(text: string): string {
  const address = redisAddress(text)
  if (address === null) return `${/^rediss?:/i.exec(text)?.[0].toLowerCase() ?? ''}***`
  if (address.path !== undefined) return address.path
  const url = new URL(text)
  if (url.password !== '') url.password = '***'
  else if (url.username !== '') url.username = '***'
  return url.href
}

function socketPath(text: string): string | null {
  const path = text.replace(/^unix:\/\//, '')
  // Two slashes are a URL whose scheme is missing: what follows may be a password.
  return /^\/(?!\/)/.test(path) ? path : null
}

function redisUrl(text: string): URL | null {
  if (!/^rediss?:\/\//i.test(text) || text.includes('#') || !URL.canParse(text)) return null
  const url = new URL(text)
  return isHost(url.hostname) && url.port !== '0' ? url : null
}

/** A name that ends in a number is none: it is a mistyped address, which nobody could look up. */
function isHost(name: string): boolean {
  return name !== '' && (isIPv4(name) || !/(^|\.)\d+$/.test(name))
}

/** Returns null for anything but `db` and `family`: other parameters could change how the client retries. */
function readParameters({ pathname, searchParams }: URL): { db: number; family: number } | null {
  const names = [...searchParams.keys()]
  const isKnown = names.every(name => name === 'db' || name === 'family')
  const db = pathname.slice(1) || searchParams.get('db') || '0'
  const family = searchParams.get('family') || '0'
  if (!isKnown || new Set(names).size < names.length) return null
  return /^\d{1,5}$/.test(db) && /^[046]$/.test(family) ? { db: Number(db), family: Number(family) } : null
}
