const magic = 0xfd2fb528
const dictionaryIdBytes = [0, 1, 2, 4] as const
const contentSizeBytes = [0, 2, 4, 8] as const

/**
 * Reports whether `body` is one whole frame of Zstandard (RFC 8878, 3.1.1). Node's decoder takes a truncated
 * frame for complete, and half of a body may well be valid, with another value.
 */
export function isZstdFrame(body: Uint8Array): boolean {
  try {
    return endOfFrame(new DataView(body.buffer, body.byteOffset, body.byteLength)) === body.length
  } catch (error) {
    // It ends in the middle of a header.
    if (error instanceof RangeError) return false
    throw error
  }
}

/** May be beyond the end of `view`; -1 when no frame begins there. Throws RangeError inside a header. */
function endOfFrame(view: DataView): number {
  if (view.getUint32(0, true) !== magic) return -1
  const descriptor = view.getUint8(4)
  const isSingleSegment = (descriptor & 0x20) !== 0
  const sizeFlag = descriptor >>> 6
  const sizeBytes = sizeFlag === 0 && isSingleSegment ? 1 : contentSizeBytes[sizeFlag]!
  const windowBytes = isSingleSegment ? 0 : 1
  let at = 5 + windowBytes + dictionaryIdBytes[descriptor & 3]! + sizeBytes
  for (let isLast = false; !isLast; ) {
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16)
    isLast = (header & 1) === 1
    const isRepeatedByte = ((header >>> 1) & 3) === 1
    at += 3 + (isRepeatedByte ? 1 : header >>> 3)
  }
  const checksumBytes = (descriptor & 4) === 0 ? 0 : 4
  return at + checksumBytes
}
