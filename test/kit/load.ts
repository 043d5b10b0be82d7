import { Agent, request } from 'node:http'

/** One increment that a client sent, with what it knows of its fate. */
export interface Sent {
  readonly key: string
  /** `accepted`: answered with 200. `refused`: with anything else. `unknown`: no answer. */
  fate: 'accepted' | 'refused' | 'unknown'
  /** Why there was no answer; empty when there was one. */
  reason: string
}

/**
 * Keeps sending increments of 1, each to a key of its own, so that the fate of every single one can be read
 * from the database.
 */
export class Load {
  readonly sent: Sent[] = []
  readonly #url: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 })
  readonly #loops: Promise<void>[]
  #isStopped = false

  constructor(url: string, connectionCount = 4) {
    this.#url = url
    this.#loops = Array.from({ length: connectionCount }, (_, index) => this.#loop(index))
  }

  get acceptedCount(): number {
    return this.sent.filter(each => each.fate === 'accepted').length
  }

  /** Stops sending and waits for every answer. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await Promise.all(this.#loops)
    this.#agent.destroy()
  }

  /**
   * The totals that must result if every accepted increment counts once; fails if an increment's fate is
   * unknown.
   */
  expectedTotals(): Map<string, string> {
    const unknown = this.sent.find(each => each.fate === 'unknown')
    if (unknown !== undefined) throw new Error(`no answer for ${unknown.key}: ${unknown.reason}`)
    return new Map(this.sent.filter(each => each.fate === 'accepted').map(each => [each.key, '1']))
  }

  async #loop(index: number): Promise<void> {
    for (let number = 0; !this.#isStopped; number++) {
      const sent: Sent = { key: `c${index}-${number}`, fate: 'unknown', reason: 'not yet' }
      this.sent.push(sent)
      const status = await this.#post(sent)
      if (status !== null) sent.fate = status === 200 ? 'accepted' : 'refused'
      // Room for the processes under test, and a pause while there is nobody to talk to.
      await new Promise(resolve => setTimeout(resolve, status === null ? 20 : 1))
    }
  }

  #post(sent: Sent): Promise<number | null> {
    return new Promise(resolve => {
      const post = request(`${this.#url}/increment`, { method: 'POST', agent: this.#agent, timeout: 10_000 })
      post.on('response', response => {
        response.resume()
        response.on('end', () => resolve(response.statusCode!))
        response.on('error', () => resolve(null))
      })
      post.on('timeout', () => post.destroy(new Error('no answer in time')))
      post.on('error', error => {
        sent.reason = String(error)
        resolve(null)
      })
      post.end(`key=${sent.key}&value=1`)
    })
  }
}
