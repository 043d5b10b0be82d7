import { type RequestHead, requestOrigin } from './request-head.ts'
import { type HostTest, hostTest } from './hosts.ts'
import type { ProblemCode } from '../parse/problems.ts'

/** How long a browser may keep the answer to a preflight: no more than Chromium does. */
const preflightSeconds = 7_200
const any = '*'
const opaque = 'null'

export interface OriginsOptions {
  /** Output of `parseOrigins`. */
  readonly corsOrigins: string | null
  /** Output of `parseHosts`. */
  readonly hosts: string | null
}

/** Which pages may count through a browser (Fetch standard, 3.2): our own, and those of the list. */
export class Origins {
  readonly #allowed: ReadonlySet<string>
  readonly #isOurName: HostTest

  constructor({ corsOrigins, hosts }: OriginsOptions) {
    this.#allowed = new Set(corsOrigins?.split(','))
    this.#isOurName = hostTest(hosts)
  }

  /**
   * Returns why a page may not count; null when it may. `origin` and `host` are the headers of its request;
   * two origins in one are an unknown one. `host` matters only where it shows that the page is our own.
   */
  refusal(origin: string, host: string): ProblemCode | null {
    if (this.#allowed.has(origin) || this.#allowed.has(any)) return null
    if (!isOwn(origin, host)) return 'origin_refused'
    return this.#isOurName(host) ? null : 'host_refused'
  }
}

/** Reports whether the request whose head was read last is a preflight. */
export function isPreflight(request: RequestHead): boolean {
  return requestOrigin() !== null && request.getHeader('access-control-request-method') !== ''
}

/** The body of the answer: without one, unread answers before it would go unnoticed. */
export const preflightBody = 'POST\n'

export const preflightHeaders: Readonly<Record<string, string>> = {
  'Access-Control-Allow-Methods': 'POST',
  'Access-Control-Allow-Headers': 'Content-Type, Content-Encoding, Idempotency-Key, X-Idempotency-Key',
  'Access-Control-Max-Age': String(preflightSeconds),
}

/** Headers with which a page of `origin` can read an answer. */
export function readable(origin: string): Readonly<Record<string, string>> {
  return {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Expose-Headers': 'Retry-After, Idempotency-Window',
    Vary: 'Origin',
  }
}

/** The list as it is compared with: undefined when one of it is no origin, `null` or `*`. */
export function parseOrigins(text: string): string | undefined {
  const origins = text.split(',').map(each => parseOrigin(each.trim()))
  return origins.includes(undefined) ? undefined : origins.join(',')
}

/** Returns the origin as browsers write it: in small letters, without the default port of its scheme. */
function parseOrigin(text: string): string | undefined {
  if (text === any || text === opaque) return text
  const [origin, scheme, host] = /^([a-z][a-z0-9+.-]*):\/\/([^/?#@*\s]+)$/.exec(text.toLowerCase()) ?? []
  if (origin === undefined || !URL.canParse(origin)) return undefined
  return scheme === 'http' || scheme === 'https' ? new URL(origin).origin : `${scheme}://${host}`
}

/** Reports whether the page came from where its request goes: by HTTP, or by HTTPS of a proxy. */
function isOwn(origin: string, host: string): boolean {
  const scheme = /^https?:\/\//.exec(origin)?.[0]
  if (scheme === undefined || host === '') return false
  return origin === `${scheme}${host}` || origin === parseOrigin(scheme + host)
}
