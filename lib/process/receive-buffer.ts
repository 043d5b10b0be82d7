import { readdirSync } from 'node:fs'
import koffi from 'koffi'

// socket(7), as Linux numbers them on x86-64 and arm64.
const solSocket = 1
const soReceiveBuffer = 8
const soAcceptsConnections = 30
const intBytes = 4

const libc = koffi.load(null)
const getsockopt = libc.func('int getsockopt(int, int, int, _Out_ int *, _Inout_ uint *)')
const setsockopt = libc.func('int setsockopt(int, int, int, int *, uint)')

/**
 * Bounds what the kernel keeps of the bytes that a client has sent and that this process has not read, for
 * each connection that the sockets on which this process listens now will accept. The kernel doubles `bytes`,
 * and counts its own overhead in (socket(7), SO_RCVBUF). Neither Node.js nor uWebSockets.js can set it.
 */
export function boundReceiveBuffers(bytes: number): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const descriptor = Number(name)
    if (
      isListening(descriptor) &&
      setsockopt(descriptor, solSocket, soReceiveBuffer, [bytes], intBytes) !== 0
    )
      throw new Error(`the receive buffer of socket ${descriptor} cannot be set, errno ${koffi.errno()}`)
  }
}

function isListening(descriptor: number): boolean {
  const value = [0]
  return getsockopt(descriptor, solSocket, soAcceptsConnections, value, [intBytes]) === 0 && value[0] === 1
}
