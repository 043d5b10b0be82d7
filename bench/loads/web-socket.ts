const final = 0x80
const textFrame = 0x1
const lengthMax = 125
const numberStart = '{"message":'.length
const acceptedOne = Buffer.from(',"accepted":1,')

/** A masked text frame, as clients have to send it (RFC 6455, 5.2); of at most 125 bytes. */
export function clientFrame(text: string, mask: readonly number[] = [1, 2, 3, 4]): Buffer {
  const payload = Buffer.from(text)
  if (payload.length > lengthMax) throw new RangeError('a message of the load has at most 125 bytes')
  const masked = payload.map((byte, index) => byte ^ mask[index % 4]!)
  return Buffer.concat([Buffer.from([final | textFrame, final | payload.length, ...mask]), masked])
}

export interface Answers {
  /** Bytes of whole frames; those behind them must be read again with what follows. */
  readonly bytes: number
  readonly accepted: number
  readonly refused: number
}

/**
 * Counts the answers in what came. Each is a text frame, to a message of one increment or to several;
 * one that does not say that all were accepted is a refusal. Throws at a frame that closes the stream.
 */
export function answersIn(received: Buffer): Answers {
  let bytes = 0
  let accepted = 0
  let refused = 0
  while (received.length - bytes >= 2) {
    const opcode = received[bytes]! & 0x0f
    const short = received[bytes + 1]! & 0x7f
    const head = short === 126 ? 4 : 2
    if (received.length - bytes < head) break
    const length = short === 126 ? received.readUInt16BE(bytes + 2) : short
    if (short === 127) throw new Error('an answer has no 64 KiB')
    const start = bytes + head
    if (received.length < start + length) break
    if (opcode === 0x8) throw new Error(`closed: ${received.toString('utf8', start + 2, start + length)}`)
    if (opcode === textFrame) {
      if (saysAccepted(received, start + numberStart)) accepted++
      else {
        const joined = joinedIn(received.toString('utf8', start, start + length))
        if (joined === null) refused++
        else accepted += joined
      }
    }
    bytes = start + length
  }
  return { bytes, accepted, refused }
}

/** Returns how many messages a joined answer accepts; null when it is none, or says something else. */
function joinedIn(answer: string): number | null {
  const { messages, accepted } = JSON.parse(answer)
  return messages !== undefined && messages === accepted ? accepted : null
}

/** Reports whether `,"accepted":1,` follows the digits at `at`, byte by byte: a million come in a second. */
function saysAccepted(received: Buffer, at: number): boolean {
  let digitsEnd = at
  while (received[digitsEnd]! >= 0x30 && received[digitsEnd]! <= 0x39) digitsEnd++
  for (let index = 0; index < acceptedOne.length; index++)
    if (received[digitsEnd + index] !== acceptedOne[index]) return false
  return true
}
