import { Worker } from 'node:worker_threads'

/** Options of a client that sends without end. */
export interface FloodOptions {
  readonly port: number
  /** Latin-1: what a connection begins with, what it sends once then, and what it goes on with, for ever. */
  readonly opening: string
  readonly first: string
  readonly piece: string
  /** Wait for the answer to the opening before the rest is sent. */
  readonly isStream: boolean
  /** Pieces under way; without it, as many as the connection takes. */
  readonly underWay: number | null
  /** Text that the answer to a counted piece holds once. */
  readonly answer: string
  readonly counters: Int32Array
}

/** Indexes of the counters. */
export const counting = { isStopped: 0, answered: 1, connections: 2, closed: 3, sentKib: 4 } as const

const answered = '"ack":"memory"}'

export type Shape = Pick<FloodOptions, 'piece'> & Partial<FloodOptions>

/** Clients that send without end, each in a thread of its own: they do so however busy the test is. */
export class Flood {
  readonly #counters = new Int32Array(new SharedArrayBuffer(4 * Object.keys(counting).length))
  readonly #workers: Worker[]

  constructor(port: number, shape: Shape, clientCount = 1) {
    const options: FloodOptions = {
      ...{
        port,
        opening: '',
        first: '',
        isStream: false,
        underWay: null,
        answer: answered,
        counters: this.#counters,
      },
      ...shape,
    }
    const script = new URL('./flood-client.ts', import.meta.url)
    this.#workers = Array.from({ length: clientCount }, () => new Worker(script, { workerData: options }))
  }

  count(what: keyof typeof counting): number {
    return Atomics.load(this.#counters, counting[what])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    Atomics.store(this.#counters, counting.isStopped, 1)
    await Promise.all(this.#workers.map(worker => worker.terminate()))
  }
}
