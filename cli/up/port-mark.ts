import { connect, createServer } from 'node:net'

/**
 * A port mark says that a process of ours is there, and nothing else. It is a socket in Linux' abstract
 * namespace: no file, dropped by the kernel with its process, and of the scope of a port, the network
 * namespace. So any user of the machine can set one, or connect to it. Elsewhere nobody can.
 */
export interface PortMark {
  release(): void
}

const hasMarks = process.platform === 'linux'
/** Connections that the kernel holds until they are closed. */
const backlogMax = 16

/** Resolves to null where there are no marks. */
export async function setPortMark(name: string): Promise<PortMark | 'taken' | null> {
  if (!hasMarks) return null
  const server = createServer(socket => socket.destroy())
  return new Promise(resolve => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'EADDRINUSE' ? 'taken' : null)
    })
    server.listen({ path: pathOf(name), backlog: backlogMax }, () => {
      // It is out of descriptors for a moment: the connection alone has told the process that asked.
      server.on('error', () => {})
      server.unref()
      resolve({ release: () => void server.close() })
    })
  })
}

/** Reports whether some process has the mark. */
export function isMarkSet(name: string): Promise<boolean> {
  if (!hasMarks) return Promise.resolve(false)
  return new Promise(resolve => {
    const socket = connect({ path: pathOf(name) })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // A full backlog (EAGAIN) is one of somebody.
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EAGAIN'))
  })
}

/** Returns the mark as `ss -xl` shows it. */
export function markToShow(name: string): string {
  return pathOf(name).replace('\0', '@')
}

function pathOf(name: string): string {
  return `\0piccolo-daimao/${name}`
}
