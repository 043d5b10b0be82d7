import { isIP } from 'node:net'

const any = '*'

/** Tells whether the name in a `Host` header is ours. */
export type HostTest = (host: string) => boolean

/**
 * Tells by which names a page may have been loaded from here. The owner of a name can point it to any address
 * after a browser has loaded a page from it (DNS rebinding): for the browser that page is then one of ours.
 * An address cannot be pointed elsewhere, and `localhost` is not looked up. `list` is what `parseHosts` has
 * let through.
 */
export function hostTest(list: string | null): HostTest {
  const listed = new Set(list?.split(','))
  return host => {
    const name = listed.has(any) ? any : nameIn(host)
    if (name === undefined) return false
    return listed.has(name) || isAddress(name) || name === 'localhost' || name.endsWith('.localhost')
  }
}

/** The list as it is compared with: undefined when one of it is no name without a port, and no `*`. */
export function parseHosts(text: string): string | undefined {
  const names = text.split(',').map(each => (each.trim() === any ? any : nameIn(each.trim(), '')))
  return names.includes(undefined) ? undefined : names.join(',')
}

/** The name in a `Host` header as browsers write it, without its port; undefined when there is none. */
function nameIn(host: string, port = '(?::\\d*)?'): string | undefined {
  const isHost = new RegExp(`^(?:[^\\s,:/?#@*\\\\[\\]]+|\\[[^\\]]+\\])${port}$`).test(host)
  if (!isHost || !URL.canParse(`http://${host}`)) return undefined
  return new URL(`http://${host}`).hostname.replace(/\.$/, '') || undefined
}

function isAddress(name: string): boolean {
  return name.startsWith('[') || isIP(name) !== 0
}
