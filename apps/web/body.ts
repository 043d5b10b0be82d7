import type { HttpResponse } from 'uWebSockets.js'

/**
 * Hands over the whole body once its last byte is here, or says once that it is larger than `bytesMax`.
 * Calls neither when the client goes away before. The body is valid only during the call.
 */
export function receiveBody(
  response: HttpResponse,
  bytesMax: number,
  received: (body: Buffer) => void,
  tooLarge: () => void,
): void {
  /** Copies of all chunks but the last, as uWebSockets.js takes each back; null while there is none. */
  let chunks: Buffer[] | null = null
  let byteCount = 0
  let isDone = false
  response.onData((chunk, isLast) => {
    // Data keeps coming after an answer that did not wait for it.
    if (isDone) return
    byteCount += chunk.byteLength
    isDone = isLast || byteCount > bytesMax
    if (byteCount > bytesMax) {
      chunks = null
      tooLarge()
    } else if (isLast) {
      const last = Buffer.from(chunk)
      received(chunks === null ? last : Buffer.concat([...chunks, last]))
    } else {
      chunks ??= []
      chunks.push(Buffer.from(chunk.slice(0)))
    }
  })
}
