import { connect, createServer, type Server } from 'node:net'
import { exitCodes, UsageError } from '../lib/errors.ts'
import { whyNotListening } from '../lib/port.ts'

/**
 * One `piccolo up` a port: web processes share a port by SO_REUSEPORT, so without care a second, accidental
 * one would silently take a part of the traffic into another database. The mark is a socket in Linux'
 * abstract namespace: no file, dropped by the kernel with its process, and of the same scope as the port,
 * the network namespace.
 */
export async function claimInstance(host: string, port: number): Promise<{ release(): void }> {
  const server = process.platform === 'linux' ? await listen(markOf(port)) : null
  if (server === 'taken') throw taken(port, 'another piccolo up has it')
  const reason = await whyNotListening(host, port)
  if (reason !== null) {
    server?.close()
    throw taken(port, reason)
  }
  return { release: () => server?.close() }
}

/** Whether a `piccolo up` on this machine has the port. */
export function isInstanceUp(port: number): Promise<boolean> {
  if (process.platform !== 'linux') return Promise.resolve(false)
  return new Promise(resolve => {
    const socket = connect({ path: markOf(port) })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function markOf(port: number): string {
  return `\0piccolo-daimao/up/${port}`
}

function listen(path: string): Promise<Server | 'taken'> {
  return new Promise((resolve, reject) => {
    const server = createServer(socket => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve('taken')
      else reject(error)
    })
    server.listen({ path }, () => resolve(server))
  })
}

function taken(port: number, reason: string): UsageError {
  return new UsageError(`cannot have --port ${port}: ${reason}`, exitCodes.badConfiguration)
}
