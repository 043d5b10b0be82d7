import type { Option } from '../lib/options.ts'

/** What may stand behind the `?` of a Redis URL; anything else could change how the client retries. */
const urlParameters = new Set(['db', 'family'])

export const queueOptions = {
  redis: {
    placeholder: 'URL',
    fallback: null,
    secret: true,
    help: 'Redis for the queue: redis://, rediss://, or the path of a unix socket',
    expected: 'a redis:// or rediss:// URL, or the absolute path of a unix socket',
    parse: text => (isRedisUrl(text) ? text : undefined),
  } satisfies Option<string | null> as Option<string | null>,
}

/** A Redis URL without its password, fit to be shown. */
export function redisUrlToShow(url: string): string {
  return url.replace(/^(rediss?:\/\/[^:@/]*):.*@/, '$1:***@')
}

function isRedisUrl(text: string): boolean {
  if (text.startsWith('/') || text.startsWith('unix:///')) return !text.includes('?')
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') return false
  if (!/^(\/\d{0,5})?$/.test(url.pathname)) return false
  return url.hostname !== '' && [...url.searchParams.keys()].every(name => urlParameters.has(name))
}
