/** What a stream does when everything that came in one go has been looked at. */
export interface TurnEnd {
  endTurn(): void
}

/**
 * A turn of the event loop. What came together is answered together: uWebSockets.js calls for each message by
 * itself, and says nothing when it has called for the last one.
 */
export class Turn {
  /** Those that want to hear of the end of this turn; empty between turns. */
  #streams: TurnEnd[] = []
  readonly #end = () => {
    const streams = this.#streams
    this.#streams = []
    for (const stream of streams) stream.endTurn()
  }

  /** Calls `stream.endTurn` once for each call of this. */
  atEnd(stream: TurnEnd): void {
    if (this.#streams.push(stream) === 1) setImmediate(this.#end)
  }
}
