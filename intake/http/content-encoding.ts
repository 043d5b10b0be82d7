import {
  type BrotliOptions,
  brotliDecompressSync,
  gunzipSync,
  inflateRawSync,
  inflateSync,
  type ZlibOptions,
  type ZstdOptions,
  zstdDecompressSync,
} from 'node:zlib'
import type { ProblemCode } from '../parse/problems.ts'
import { isZstdFrame } from './zstd-frame.ts'

/** Given `info`, each decoder returns its engine as well, which knows how much of the body it has used. */
type Decode = (body: Uint8Array, options: ZlibOptions & BrotliOptions & ZstdOptions) => unknown
interface Decoded {
  readonly buffer: Uint8Array
  readonly engine: { readonly bytesWritten: number }
}

const decoders: ReadonlyMap<string, Decode> = new Map<string, Decode>([
  ['gzip', gunzipSync],
  ['x-gzip', gunzipSync],
  ['deflate', inflateEither],
  ['br', brotliDecompressSync],
  ['zstd', zstdDecompressSync],
])

/** The value of `Accept-Encoding` for a client whose coding is none of them (RFC 9110, 12.5.3). */
export const codingsKnown = 'gzip, deflate, br, zstd'

/**
 * The body without its content coding, at most `bytesMax` long: no more is ever decompressed than that. At
 * once, as reading it takes longer, and as a request that waits for another thread could not be pipelined.
 * Returns the code of a refusal for what is not understood. The coding of a header that is missing is `''`.
 */
export function decodeBody(coding: string, body: Uint8Array, bytesMax: number): Uint8Array | ProblemCode {
  const name = coding.toLowerCase()
  if (name === '' || name === 'identity') return body
  const decode = decoders.get(name)
  if (decode === undefined) return 'content_encoding_unknown'
  if (name === 'zstd' && !isZstdFrame(body)) return 'content_encoding_malformed'
  try {
    const options = { maxOutputLength: bytesMax, info: true }
    const { buffer, engine } = decode(body, options) as Decoded
    // Bytes behind the end would go unnoticed.
    return engine.bytesWritten === body.length ? buffer : 'content_encoding_malformed'
  } catch (error) {
    const isTooLarge = (error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE'
    return isTooLarge ? 'body_too_large' : 'content_encoding_malformed'
  }
}

/** Some clients leave out the wrapper of zlib that RFC 9110, 8.4.1.2, asks for. */
function inflateEither(body: Uint8Array, options: ZlibOptions): unknown {
  // Its first byte names the method, 8, and how far back it refers; both bytes together are a multiple of 31.
  const isWrapped = body.length >= 2 && (body[0]! & 0x0f) === 8 && ((body[0]! << 8) | body[1]!) % 31 === 0
  return isWrapped ? inflateSync(body, options) : inflateRawSync(body, options)
}
