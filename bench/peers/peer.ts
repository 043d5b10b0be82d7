/** Where peers live and run. */
export interface Place {
  /** A folder of this run's own. */
  readonly folder: string
  /** A folder that survives the run, ignored by git, for what has to be fetched or built. */
  readonly cache: string
  /** Cores in taskset's words; null where servers and load cannot be kept apart. */
  readonly serverCores: string | null
  readonly loadCores: string | null
}

/** Something that counts, in processes of its own. */
export interface Peer {
  readonly name: string
  /** How much of our work it does, for the table. */
  readonly does: string
  /**
   * Increments that it fails to count without saying so: datagrams that nobody read in time, or every
   * increment that another one replaced. The share that it counted is part of the result.
   */
  readonly loses?: 'datagrams' | 'replaced'
  /** Throws Unavailable when it cannot run on this machine. */
  start(place: Place): Promise<Running>
}

export interface Running {
  readonly port: number
  /** One increment over HTTP, for peers that speak it. */
  readonly request?: HttpIncrement
  /** The CPU time of all of these and what descends from them is the peer's. */
  readonly pids: readonly number[]
  /** The processes that answer, when others work behind them. */
  readonly frontPids?: readonly number[]
  /** Does nothing the second time. */
  stop(): Promise<void>
  /** Resolves to the sum of all totals, after the stop; null when it cannot tell. */
  total(): Promise<number | null>
}

/** How to say one increment by 1; `{key}` stands for the key, in path or body. */
export interface HttpIncrement {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  readonly body: string
  readonly contentType: string
}

/** It cannot run on this machine; the message says why, for anybody to read, the cause says it in full. */
export class Unavailable extends Error {
  override name = 'Unavailable'
}

export const formIncrement: HttpIncrement = {
  method: 'POST',
  path: '/increment',
  body: 'key={key}&value=1',
  contentType: 'application/x-www-form-urlencoded',
}
