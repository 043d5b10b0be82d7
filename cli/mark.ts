import { connect, createServer, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'

/**
 * A mark says that a process of ours is there, and tells whoever asks what it holds. It is a socket in
 * Linux' abstract namespace: no file, dropped by the kernel with its process, and of the scope of a port, the
 * network namespace. Elsewhere nobody can set one, and nobody finds one.
 */
export interface Mark {
  release(): void
}

const hasMarks = process.platform === 'linux'

/** Resolves to null when another process has the mark, and where there are none. */
export async function setMark(name: string, tell: () => string): Promise<Mark | 'taken' | null> {
  if (!hasMarks) return null
  const server = createServer(socket => {
    // Who asked may be gone by now.
    socket.on('error', () => socket.destroy())
    socket.end(tell())
  })
  if (!(await listen(server, pathOf(name)))) return 'taken'
  server.unref()
  return { release: () => void server.close() }
}

/** Whether some process has the mark. */
export async function isMarkSet(name: string): Promise<boolean> {
  const socket = await connectTo(name)
  socket?.destroy()
  return socket !== null
}

/** What the process that has the mark tells; null when none has. */
export async function askMark(name: string): Promise<string | null> {
  const socket = await connectTo(name)
  return socket === null ? null : text(socket)
}

function pathOf(name: string): string {
  return `\0piccolo-daimao/${name}`
}

function connectTo(name: string): Promise<Socket | null> {
  if (!hasMarks) return Promise.resolve(null)
  return new Promise((resolve, reject) => {
    const socket = connect({ path: pathOf(name) })
    socket.once('connect', () => resolve(socket))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') resolve(null)
      else reject(error)
    })
  })
}

/** Resolves to whether the path was free. */
function listen(server: Server, path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else reject(error)
    })
    server.listen({ path }, () => resolve(true))
  })
}
