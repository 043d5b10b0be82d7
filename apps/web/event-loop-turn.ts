import type { Connections } from './connections.ts'

/** Answers that uWebSockets.js keeps together of one connection, with room to spare. */
const keptAnswers = 64
/** To cork answers one by one costs something: not before so many connections can have had 64 of them. */
const deepConnectionsMax = 16

/** A stream that wants to know when everything that came in one go has been looked at. */
export interface TurnEnd {
  endTurn(): void
}

/** The current turn of the event loop: how many requests came in it, and who waits for its end. */
export class EventLoopTurn {
  readonly #connections: Connections
  /** Requests since the last turn in which there were many. */
  #requestCount = 0
  /** Streams that want to hear of the end of this turn; empty between turns. */
  #streams: TurnEnd[] = []
  #isEndDue = false

  constructor(connections: Connections) {
    this.#connections = connections
  }

  /** Must be called for each request. */
  requestCame(): void {
    if (++this.#requestCount === keptAnswers) this.#expectEnd()
  }

  /**
   * So many requests came in a row that uWebSockets.js may not keep answers of one connection together any
   * more: it would write each part of one by itself.
   */
  get isDeep(): boolean {
    return this.#requestCount > keptAnswers * Math.min(this.#connections.count, deepConnectionsMax)
  }

  /** Calls `stream.endTurn` once for each call of this. */
  atEnd(stream: TurnEnd): void {
    this.#streams.push(stream)
    this.#expectEnd()
  }

  #expectEnd(): void {
    if (this.#isEndDue) return
    this.#isEndDue = true
    setImmediate(this.#end)
  }

  readonly #end = () => {
    this.#isEndDue = false
    this.#requestCount = 0
    const streams = this.#streams
    this.#streams = []
    for (const stream of streams) stream.endTurn()
  }
}
