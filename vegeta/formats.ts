const contentType = 'application/x-www-form-urlencoded'
/** Where the service listens, unless it is told otherwise. */
const portDefault = 3333

/** A target in vegeta's JSON format, without the line break that ends it. */
export function jsonTarget(url: string, body: string): string {
  const header = { 'Content-Type': [contentType] }
  return JSON.stringify({ method: 'POST', url, header, body: Buffer.from(body).toString('base64') })
}

/** The body of a target in vegeta's JSON format; null when it is none. */
export function bodyOfJsonTarget(line: string): string | null {
  try {
    return Buffer.from(JSON.parse(line).body, 'base64').toString()
  } catch {
    return null
  }
}

/**
 * A target in vegeta's HTTP format, with an empty line after it. The path is absolute: vegeta takes any
 * other from where it is started.
 */
export function httpTarget(url: string, bodyPath: string): string {
  return `POST ${url}\nContent-Type: ${contentType}\n@${bodyPath}\n`
}

/** Reads `host`, `host:port` or `http://host:port`; null when it is none of them. */
export function incrementUrl(host: string): string | null {
  const hasScheme = /^https?:\/\//i.test(host)
  const text = hasScheme ? host : `http://${host}`
  if (/[\s\\]|:\/?$/.test(host) || !URL.canParse(text)) return null
  const url = new URL(text)
  if (url.href !== `${url.origin}/`) return null
  if (!hasScheme && !/:\d+$/.test(host.replace(/\/$/, ''))) url.port = String(portDefault)
  return `${url.origin}/increment`
}
