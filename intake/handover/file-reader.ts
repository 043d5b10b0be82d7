import { crc32 } from 'node:zlib'
import { errorText, type OperationError } from '../../lib/errors.ts'
import { type BatchId, decodeBatch, type QueuedBatch, queuedBatchOf } from '../../batch/batch.ts'
import { handoverError } from './errors.ts'
import type { Disk, OpenFile } from './disk.ts'
import {
  type HandoverHeader,
  headerBytesMax,
  isTrailer,
  lengthBytes,
  magic,
  parseHeader,
  trailer,
  trailerBytes,
} from './file-format.ts'
import { elementBytesMax } from '../../batch/limits.ts'
import { listBatchesMax } from '../../queue/limits.ts'

/** Bytes read at once: bounds memory, and for how long requests wait. */
const pieceBytes = 256 * 1024
/** Longer than the head of any element. */
const elementHeadBytes = 256
const newline = 0x0a
/** Batches in one file: far more than the queue's list, or any producer, holds. */
const fileBatchesMax = 10 * listBatchesMax

/** The contents of a complete hand-over file. */
export interface Manifest {
  /** Null in the first form. */
  readonly header: HandoverHeader | null
  readonly producer: string
  readonly sequenceFirst: number
  readonly batchCount: number
  readonly increments: number
  readonly bytes: number
  /** The signature of the file when it was read. */
  readonly signature: string
}

export interface ReadOptions {
  /** Hears the number of bytes read so far before each piece. An error that it throws ends the reading. */
  readonly onPiece?: (bytesRead: number) => void
  /** Hears of each batch, in order. */
  readonly onBatch?: (batch: QueuedBatch) => void
}

/**
 * Reads a hand-over file whole, piece by piece, and returns what is in it. Throws OperationError
 * `handover_incomplete` for whatever is not one from its first byte to its last (it may still be being
 * copied), `handover_newer` for a later form, `handover_unreadable` for what is no file; else what the file
 * system throws.
 */
export async function readManifest(file: OpenFile, options: ReadOptions = {}): Promise<Manifest> {
  const { isFile, size, signature } = await file.state()
  if (!isFile) throw handoverError('handover_unreadable', 'it is no file')
  const header = await readHeader(file)
  // While it is being copied it need not be read again and again.
  if (header !== null && !(await hasTrailer(file, size))) throw incomplete('it is cut off')
  let first: QueuedBatch | null = null
  let batchCount = 0
  let increments = 0
  const pieces = new Pieces(file, size, options.onPiece)
  for await (const { batch, bytes } of header === null ? lines(pieces, null) : records(pieces, null)) {
    if (header === null) decoded(bytes)
    first ??= batch
    if (++batchCount > fileBatchesMax) throw incomplete('it holds more batches than a file can')
    increments += batch.increments
    options.onBatch?.(batch)
  }
  if (first === null) throw incomplete('it holds no batch')
  const { producer, sequence: sequenceFirst } = first
  if (header !== null && (header.producer !== producer || header.batches !== batchCount))
    throw incomplete('it holds something else than its header says')
  if ((await file.state()).signature !== signature) throw incomplete('it changes')
  return { header, producer, sequenceFirst, batchCount, increments, bytes: size, signature }
}

/** Does the same as `readManifest`, for the file at `path`. */
export async function readManifestAt(disk: Disk, path: string, options?: ReadOptions): Promise<Manifest> {
  const file = await disk.open(path)
  try {
    return await readManifest(file, options)
  } finally {
    await file.close()
  }
}

/** The elements of a file that was complete; throws as `readManifest` where it no longer is. */
export async function* readElements(
  file: OpenFile,
  { header, producer, sequenceFirst, bytes: size }: Manifest,
): AsyncGenerator<string> {
  const before = { producer, sequence: sequenceFirst - 1 }
  const pieces = new Pieces(file, size)
  for await (const { bytes } of header === null ? lines(pieces, before) : records(pieces, before))
    yield bytes.toString()
}

async function hasTrailer(file: OpenFile, size: number): Promise<boolean> {
  const end = Buffer.alloc(trailerBytes)
  return (await file.read(end, Math.max(0, size - trailerBytes))) === trailerBytes && isTrailer(end)
}

/** Reads the header; null for the first form, which has none. Throws as `readManifest`. */
export async function readHeader(file: OpenFile): Promise<HandoverHeader | null> {
  const buffer = Buffer.alloc(headerBytesMax)
  const head = buffer.subarray(0, await file.read(buffer, 0))
  if (queuedBatchOf(head.toString('latin1', 0, elementHeadBytes)) !== null) return null
  const end = head.indexOf(newline)
  const line = head.toString('utf8', 0, Math.max(0, end))
  const header = parseHeader(line)
  if (header !== null) return header
  if (line.startsWith(magic) && !line.startsWith(`${magic}2 `))
    throw handoverError('handover_newer', 'it is of a later form')
  throw incomplete('it does not begin as a hand-over file does')
}

interface Element {
  readonly batch: QueuedBatch
  readonly bytes: Buffer
}

/** Reads the current form, after `before`. Throws after the last element unless the trailer is right. */
async function* records(pieces: Pieces, before: BatchId | null): AsyncGenerator<Element> {
  const header = parseHeader(String(await pieces.line(headerBytesMax)))
  if (header === null) throw incomplete('its header changed')
  let previous = before
  for (let count = 0; count < header.batches; count++) {
    const length = (await pieces.take(lengthBytes)).readUInt32BE()
    if (length === 0 || length > elementBytesMax) throw incomplete('it has a length that is none')
    previous = yield* following(previous, await pieces.take(length))
  }
  const expected = trailer(pieces.crc)
  if (!(await pieces.take(trailerBytes)).equals(expected)) throw incomplete('its checksum is another')
  if (!pieces.isOver) throw incomplete('it goes on behind its end')
}

/** Reads the first form. */
async function* lines(pieces: Pieces, before: BatchId | null): AsyncGenerator<Element> {
  let previous = before
  while (!pieces.isOver) previous = yield* following(previous, await pieces.line(elementBytesMax))
}

/** Yields an element if it comes next, and returns its batch. */
function* following(previous: BatchId | null, bytes: Buffer): Generator<Element, QueuedBatch> {
  const batch = queuedBatchOf(bytes.toString('latin1', 0, elementHeadBytes))
  if (batch === null) throw incomplete('it holds what is no batch')
  if (previous !== null && batch.producer !== previous.producer) throw incomplete('it has two producers')
  if (previous !== null && batch.sequence !== previous.sequence + 1) throw incomplete('it has a gap')
  yield { batch, bytes }
  return batch
}

function decoded(bytes: Buffer): void {
  try {
    decodeBatch(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch (error) {
    throw incomplete(errorText(error))
  }
}

function incomplete(reason: string): OperationError {
  return handoverError('handover_incomplete', reason)
}

/** The bytes of a file up to `size`, in the order in which they are asked for. */
class Pieces {
  /** The checksum of all bytes that were taken. */
  crc = 0
  readonly #file: OpenFile
  readonly #size: number
  readonly #onPiece: (bytesRead: number) => void
  /** Bytes read and not yet taken. */
  #piece: Buffer = Buffer.alloc(0)
  #bytesRead = 0

  constructor(file: OpenFile, size: number, onPiece: (bytesRead: number) => void = () => {}) {
    this.#file = file
    this.#size = size
    this.#onPiece = onPiece
  }

  get isOver(): boolean {
    return this.#piece.length === 0 && this.#bytesRead === this.#size
  }

  /** Throws where there are not as many. */
  async take(count: number): Promise<Buffer> {
    // This comes before there is memory for them: the count may be rubbish.
    if (count > this.#piece.length + this.#size - this.#bytesRead) throw incomplete('it is cut off')
    const parts: Buffer[] = []
    for (let rest = count; rest > 0; rest -= parts.at(-1)!.length) {
      if (this.#piece.length === 0) await this.#read()
      parts.push(this.#cut(rest))
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  /** Up to the next end of a line, without that. Throws where there is none within `bytesMax`. */
  async line(bytesMax: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let length = 0; length <= bytesMax; length += parts.at(-1)!.length) {
      if (this.#piece.length === 0) await this.#read()
      const end = this.#piece.indexOf(newline)
      if (end === -1) {
        parts.push(this.#cut(this.#piece.length))
        continue
      }
      parts.push(this.#cut(end))
      this.#cut(1)
      return Buffer.concat(parts)
    }
    throw incomplete('it has a line without an end')
  }

  #cut(countMax: number): Buffer {
    const cut = this.#piece.subarray(0, countMax)
    this.#piece = this.#piece.subarray(cut.length)
    this.crc = crc32(cut, this.crc)
    return cut
  }

  async #read(): Promise<void> {
    this.#onPiece(this.#bytesRead)
    const buffer = Buffer.allocUnsafe(Math.min(pieceBytes, this.#size - this.#bytesRead))
    const count = buffer.length === 0 ? 0 : await this.#file.read(buffer, this.#bytesRead)
    if (count === 0) throw incomplete('it is cut off')
    this.#piece = buffer.subarray(0, count)
    this.#bytesRead += count
  }
}
