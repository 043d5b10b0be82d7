import type { Clock } from '../../lib/clock.ts'

/** What a request takes of a share, beside its body; a message of a stream, a ping, a piece of a body. */
export const requestUnits = 16
export const messageUnits = 1
export const pieceUnits = 1
/** To begin to decompress a body takes longer than all the rest of a request. */
export const decodingUnits = 7 * requestUnits
/** How often the clock is read: never for a client with 64 requests under way. */
const lookUnits = 65 * requestUnits
/** What any connection may do in any turn: 512 requests, 2 MiB of bodies, 8,192 messages or pings. */
const shareUnits = 512 * requestUnits
/** And for each one whose requests cannot be told from its own: 64 more, to so many connections. */
const neighborUnits = 64 * requestUnits
const neighborsMax = 128
/** To cork answers one by one costs something: not before so many connections can have had 64 of them. */
const deepConnectionsMax = 8
/** From when on a turn is too long for more than that. */
export const turnMs = 20
/** What may come behind before a connection that is being closed is cut. */
const behindUnits = 64 * requestUnits

/** `close`: the connection is to be told that it is closed, and closed; `cut`: that has not helped. */
export type Verdict = 'fine' | 'close' | 'cut'

/** Where requests and messages come from: a stream, or some connections one after the other. */
export interface Source {
  readonly connectionCount: number
}

/** What a stream does when everything that came in one go has been looked at. */
export interface TurnEnd {
  endTurn(): void
}

/**
 * A turn of the event loop, and what each connection may do in it. uWebSockets.js reads on from a connection
 * while its data fills a buffer of 512 KiB: whoever sends faster than we answer would keep every timer and
 * every other client waiting, without end. Only closing the connection makes it stop.
 *
 * What comes from one connection in one turn comes in a row. A share that is not used up is never refused,
 * however long the turn: many connections with a few requests each take their time, and that is that.
 */
export class Turn {
  readonly #clock: Clock
  /** Whose requests come at the moment; null when nothing is known. */
  #source: Source | null = null
  /** What it has used up, at least since this turn began. */
  #units = 0
  #lookAt = lookUnits
  #deepUnits = lookUnits
  #isOver = false
  /** When this turn was first looked at; null until then. */
  #beganMs: number | null = null
  /** Those that want to hear of the end of this turn; empty between turns. */
  #streams: TurnEnd[] = []
  #isEndDue = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** To be called for all that `source` makes us do, before it is done. */
  spend(source: Source, units: number): Verdict {
    if (source !== this.#source) this.#begin(source)
    this.#units += units
    return this.#units < this.#lookAt ? 'fine' : this.#look()
  }

  /**
   * So much was answered in a row that uWebSockets.js may not keep answers of this connection together any
   * more: it would write each part of one by itself.
   */
  get isDeep(): boolean {
    return this.#units >= this.#deepUnits
  }

  /** A connection is closed: what comes next comes from another. */
  connectionClosed(): void {
    this.#source = null
  }

  /** Calls `stream.endTurn` once for each call of this. */
  atEnd(stream: TurnEnd): void {
    this.#streams.push(stream)
    this.#expectEnd()
  }

  #begin(source: Source): void {
    this.#source = source
    this.#units = 0
    this.#lookAt = lookUnits
    this.#deepUnits = lookUnits * Math.min(source.connectionCount, deepConnectionsMax)
    this.#isOver = false
  }

  #look(): Verdict {
    if (this.#isOver) return this.#units > this.#lookAt + behindUnits ? 'cut' : 'close'
    const nowMs = this.#clock.monotonicMs()
    this.#beganMs ??= nowMs
    this.#expectEnd()
    this.#isOver = nowMs - this.#beganMs > turnMs && this.#units > shareOf(this.#source!)
    if (this.#isOver) {
      this.#lookAt = this.#units
      return 'close'
    }
    this.#lookAt = this.#units + lookUnits
    return 'fine'
  }

  #expectEnd(): void {
    if (this.#isEndDue) return
    this.#isEndDue = true
    setImmediate(this.#end)
  }

  readonly #end = () => {
    this.#isEndDue = false
    this.#source = null
    this.#beganMs = null
    const streams = this.#streams
    this.#streams = []
    for (const stream of streams) stream.endTurn()
  }
}

/** Connections with 64 requests under way each never need more, in whatever order they come. */
function shareOf({ connectionCount }: Source): number {
  return shareUnits + neighborUnits * Math.min(connectionCount, neighborsMax)
}

/** Of a body so much costs one unit to read. */
export const bodyUnitBytes = 256

/** What it takes to read so much of a body. */
export function bodyUnits(byteCount: number): number {
  return Math.floor(byteCount / bodyUnitBytes)
}

/** What it takes to throw it away. */
export function skippedUnits(byteCount: number): number {
  return byteCount >>> 10
}

/** What it takes to list so many errors. */
export function errorsUnits(count: number): number {
  return count * requestUnits
}
