import { crc32 } from 'node:zlib'

/**
 * A hand-over file holds the batches of one producer, in the order of their sequences and without gaps:
 *
 *     piccolo-handover/2 {"store":…,"shard":0,"producer":"…","batches":2,"increments":9}\n
 *     length of the element, 4 bytes, big-endian; the element as the queue would hold it  (once per batch)
 *     end <CRC-32 of everything before it, 8 hexadecimal digits>\n
 *
 * Without its trailer it is not complete. The first form had neither header nor trailer: one element a line.
 */
export interface HandoverHeader {
  /** The store that the queue was bound to; null where the writer did not know. */
  readonly store: string | null
  readonly shard: number
  readonly producer: string
  readonly batches: number
  readonly increments: number
}

export const magic = 'piccolo-handover/'
const currentForm = 2
export const lengthBytes = 4
export const headerBytesMax = 1_024
export const trailerBytes = 'end 00000000\n'.length

const headerPattern = /^piccolo-handover\/2 (\{.*\})$/
const producerPattern = /^[0-9a-f]{8,64}$/

/** The bytes of a file, piece by piece. */
export function* handoverPieces(header: HandoverHeader, elements: Iterable<string>): Generator<Buffer> {
  let crc = 0
  const counted = (piece: Buffer) => {
    crc = crc32(piece, crc)
    return piece
  }
  yield counted(Buffer.from(`${magic}${currentForm} ${JSON.stringify(header)}\n`))
  for (const element of elements) {
    const bytes = Buffer.from(element)
    const length = Buffer.alloc(lengthBytes)
    length.writeUInt32BE(bytes.length)
    yield counted(length)
    yield counted(bytes)
  }
  yield trailer(crc)
}

export function trailer(crc: number): Buffer {
  return Buffer.from(`end ${crc.toString(16).padStart(8, '0')}\n`)
}

/** Reports whether the bytes have the form of a trailer. */
export function isTrailer(bytes: Buffer): boolean {
  return /^end [0-9a-f]{8}\n$/.test(bytes.toString('latin1'))
}

/** Reads its first line; null for whatever `handoverPieces` does not write. */
export function parseHeader(line: string): HandoverHeader | null {
  const json = headerPattern.exec(line)?.[1]
  if (json === undefined) return null
  try {
    const header = JSON.parse(json)
    const { store, shard, producer, batches, increments } = header
    const isStore = store === null || (typeof store === 'string' && store !== '')
    const areCounts = isCount(shard) && isCount(batches) && batches > 0 && isCount(increments)
    const isProducer = typeof producer === 'string' && producerPattern.test(producer)
    return isStore && areCounts && isProducer ? { store, shard, producer, batches, increments } : null
  } catch {
    return null
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
