import type { Place, Running } from '../peers/peer.ts'

/** A way to load a peer for a while. */
export interface Load {
  /** Name in the table: `wrk, 64 connections, 9000 keys`. */
  readonly name: string
  /** Program and Debian package that it wants, if it is not a driver of our own. */
  readonly needs?: readonly [program: string, debianPackage: string]
  run(running: Running, options: LoadOptions): Promise<Sample>
}

interface LoadOptions extends Place {
  readonly seconds: number
}

export interface Sample {
  /** Answered, or, where there are no answers, sent. */
  readonly increments: number
  readonly seconds: number
  /** Requests that were not answered, or refused. */
  readonly failures: number
  /** Increments without an answer at the end, which may be counted or not. */
  readonly underWayMax: number
  /** Latency of a request; null where the load does not measure it. */
  readonly latencyMs: Latency | null
}

export interface Latency {
  readonly p50: number
  readonly p99: number
  readonly p999: number | null
}
