import { errorText, OperationError } from '../../lib/errors.ts'
import { type BatchId, decodeBatch, type ReceivedBatch } from '../../batch/batch.ts'
import { parkedBytesMax, parkedMax, parkedPerProducerMax } from '../limits.ts'
import type { Sequenced } from '../sequencing.ts'
import type { Database, Statement } from './sqlite.ts'
import type { Rejected } from '../store.ts'

const tooManyParked = 'a batch that has to wait, where too many wait already'

/** Batches that wait for one before them, as they came, inside the caller's transaction. */
export class ParkedBatches {
  readonly #all: Statement
  readonly #idsOf: Statement
  readonly #countOf: Statement
  readonly #size: Statement
  readonly #element: Statement
  readonly #insert: Statement
  readonly #delete: Statement

  constructor(database: Database) {
    this.#all = database.prepare('SELECT producer, sequence FROM parked')
    this.#idsOf = database.prepare('SELECT producer, sequence FROM parked WHERE producer = ?')
    this.#countOf = database.prepare('SELECT count(*) FROM parked WHERE producer = ?').pluck()
    this.#size = database.prepare(
      'SELECT count(*) AS count, coalesce(sum(octet_length(element)), 0) AS bytes FROM parked',
    )
    this.#element = database.prepare('SELECT element FROM parked WHERE producer = ? AND sequence = ?').pluck()
    this.#insert = database.prepare('INSERT INTO parked VALUES (?, ?, ?, ?)')
    this.#delete = database.prepare('DELETE FROM parked WHERE producer = ? AND sequence = ?')
  }

  all(): BatchId[] {
    return this.#all.all() as BatchId[]
  }

  of(producers: ReadonlySet<string>): BatchId[] {
    return [...producers].flatMap(producer => this.#idsOf.all(producer) as BatchId[])
  }

  /** Null, and it is in `rejected`, for what an older version parked although it is no batch. */
  load({ producer, sequence }: BatchId, rejected: Rejected[]): ReceivedBatch | null {
    const element = this.#element.get(producer, sequence) as string
    try {
      return decodeBatch(element)
    } catch (error) {
      if (!(error instanceof OperationError)) throw error
      rejected.push({ element, reason: errorText(error) })
      return null
    }
  }

  /** Batches without room go to `rejected` instead: a producer that lives sends them again. */
  move({ park, unpark }: Pick<Sequenced, 'park' | 'unpark'>, nowMs: number, rejected: Rejected[]): void {
    for (const { producer, sequence } of unpark) this.#delete.run(producer, sequence)
    if (park.length === 0) return
    let { count, bytes } = this.#size.get() as { count: number; bytes: number }
    for (const { producer, sequence, element } of park) {
      const countOfProducer = this.#countOf.get(producer) as number
      const bytesThen = bytes + Buffer.byteLength(element)
      if (count >= parkedMax || bytesThen > parkedBytesMax || countOfProducer >= parkedPerProducerMax) {
        rejected.push({ element, reason: tooManyParked })
        continue
      }
      this.#insert.run(producer, sequence, element, nowMs)
      count++
      bytes = bytesThen
    }
  }
}
