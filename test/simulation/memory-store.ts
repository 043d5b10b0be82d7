import type { Batch, ReceivedBatch } from '../../queue/batch.ts'
import type { BatchOutcomes, Publication } from '../../queue/queue.ts'
import { decideKeyed, type KnownKey, recallKeyed } from '../../store/idempotency.ts'
import { type Progress, sequenceBatches } from '../../store/sequencing.ts'

/**
 * A store in memory, whose every method is one transaction: what each batch does is decided by the code of
 * production, and only the tables are replaced.
 */
export class MemoryStore {
  /** How often each key was counted. */
  readonly counts = new Map<string, number>()
  readonly parked = new Map<string, ReceivedBatch>()
  lostBatchCount = 0
  readonly #progress = new Map<string, Progress>()
  readonly #keys = new Map<string, KnownKey>()

  apply(batches: readonly ReceivedBatch[], gone: ReadonlySet<string>): Publication {
    const repeated = batches.filter(
      ({ producer, sequence, keyed }) =>
        keyed.length > 0 && sequence <= (this.#progress.get(producer)?.watermark ?? 0),
    )
    const sequenced = sequenceBatches({
      batches,
      progress: this.#progress,
      parked: [...this.parked.values()],
      loadParked: id => this.parked.get(nameOf(id))!,
      gone,
    })
    for (const batch of sequenced.park) this.parked.set(nameOf(batch), batch)
    for (const id of sequenced.unpark) this.parked.delete(nameOf(id))
    const outcomes = repeated.map(batch => this.#outcomes(batch, recallKeyed(batch, this.#known)))
    for (const batch of sequenced.apply) {
      const { letters, applied } = decideKeyed(batch, this.#known)
      if (letters !== '') outcomes.push(this.#outcomes(batch, letters))
      for (const { keys } of [batch, ...applied])
        for (const key of keys) this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
      this.#progress.set(batch.producer, { watermark: batch.sequence, sealed: batch.sealed })
    }
    for (const count of sequenced.missing.values()) this.lostBatchCount += count
    const parked = [...this.parked.values()]
    return { watermarks: sequenced.watermarks, parked, outcomes, discarded: [] }
  }

  readonly #known = {
    find: (key: string) => this.#keys.get(key),
    add: (key: string, known: KnownKey) => void this.#keys.set(key, known),
  }

  #outcomes({ producer, sequence }: Batch, letters: string): BatchOutcomes {
    return { producer, sequence, letters }
  }
}

function nameOf({ producer, sequence }: { producer: string; sequence: number }): string {
  return `${producer} ${sequence}`
}
