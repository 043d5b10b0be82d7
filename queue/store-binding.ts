import type { ProducerQueue } from './queue.ts'

/** Which store the queue is bound to, as far as this process has heard. */
export class Binding {
  readonly #queue: ProducerQueue
  #store: string | null = null

  constructor(queue: ProducerQueue) {
    this.#queue = queue
    // Nothing is applied before the queue is bound: a process that has heard of a commit knows the store.
    queue.onApplied(() => {
      if (this.#store === null) void this.refresh()
    })
  }

  /** Null until it was heard. A queue that forgot it is still the one of the same store. */
  get store(): string | null {
    return this.#store
  }

  /** Asks again; never rejects. */
  async refresh(): Promise<void> {
    this.#store = (await this.#queue.storeId().catch(() => null)) ?? this.#store
  }
}
