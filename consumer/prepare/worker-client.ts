import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Log } from '../../lib/process/log.ts'
import type { Element } from '../../batch/batch.ts'
import { type Answer, type Prepared, prepareElements, unpackPrepared } from './prepare.ts'

/**
 * Prepares elements in a thread of its own, so that it happens while this one is inside SQLite. Where there
 * is no second core, or anything is unusual about the elements or the thread, they are prepared here.
 */
export class Preparer {
  /** Null until the first elements, and for ever after the thread has failed. */
  #worker: Worker | null = null
  #hasFailed = availableParallelism() === 1
  /** The requests for elements that are being prepared, oldest first. */
  readonly #waiting: ((answer: Answer | null) => void)[] = []
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  /** Takes up the work at once; the elements must not change. */
  prepare(elements: readonly Element[]): Promise<Prepared> {
    if (this.#hasFailed) return Promise.resolve(prepareElements(elements))
    const answered = new Promise<Answer | null>(resolve => this.#waiting.push(resolve))
    this.#worker ??= this.#start()
    this.#worker.postMessage(elements)
    const prepared = answered.then(answer =>
      answer === null ? prepareElements(elements) : unpackPrepared(answer, elements),
    )
    // Nobody may come for what was read ahead.
    prepared.catch(() => {})
    return prepared
  }

  async close(): Promise<void> {
    this.#hasFailed = true
    const worker = this.#worker
    this.#worker = null
    await worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(new URL('worker.ts', import.meta.url))
    worker.unref()
    worker.on('message', (answer: Answer | null) => this.#waiting.shift()?.(answer))
    worker.on('error', error => this.#fail(error))
    worker.on('exit', () => this.#fail(null))
    return worker
  }

  #fail(error: Error | null): void {
    this.#hasFailed = true
    if (error !== null)
      this.#log.error({ err: error, code: 'fault' }, 'batches are prepared without a thread now')
    for (const resolve of this.#waiting.splice(0)) resolve(null)
  }
}
