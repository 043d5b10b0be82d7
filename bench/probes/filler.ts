import { Agent, request } from 'node:http'

/** Lines of one request. */
const bodyLineCount = 500
const refusedDelayMs = 100

export interface Filler {
  /** Resolves, when all was answered, to how many increments of 1 were taken, each with a new key. */
  stop(): Promise<number>
}

/**
 * Sends increments with ever new keys at a steady pace, 500 in an NDJSON body, over one connection. `prefix`
 * tells its keys from others.
 */
export function startFiller(url: string, prefix: string, keysPerSecond: number): Filler {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const startedMs = performance.now()
  let sent = 0
  let isOver = false
  const run = async () => {
    while (!isOver) {
      const dueMs = startedMs + (sent / keysPerSecond) * 1_000
      await new Promise(resolve => setTimeout(resolve, Math.max(0, dueMs - performance.now())))
      const lines = Array.from({ length: bodyLineCount }, (_, index) => lineOf(prefix, sent + index))
      // Refused as a whole while too much waits; it is sent again.
      while ((await post(agent, `${url}/increment`, lines.join('\n'))) === 503)
        await new Promise(resolve => setTimeout(resolve, refusedDelayMs))
      sent += bodyLineCount
    }
    agent.destroy()
    return sent
  }
  const running = run()
  // `stop` rejects with the error.
  running.catch(() => {})
  return {
    stop: () => {
      isOver = true
      return running
    },
  }
}

/** A key of 36 bytes, like a UUID. */
function lineOf(prefix: string, number: number): string {
  return `{"key":"${prefix}${String(number).padStart(36 - prefix.length, '0')}","value":1}`
}

function post(agent: Agent, url: string, body: string): Promise<number> {
  const headers = { 'Content-Type': 'application/x-ndjson', 'Content-Length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const sending = request(url, { method: 'POST', agent, headers }, response => {
      response.resume()
      response.once('end', () => {
        const status = response.statusCode ?? 0
        if (status === 200 || status === 503) resolve(status)
        else reject(new Error(`a body of keys was answered with ${status}`))
      })
    })
    sending.once('error', reject)
    sending.end(body)
  })
}
