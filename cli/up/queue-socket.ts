import { createHash } from 'node:crypto'
import { lstatSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { systemClock } from '../../lib/clock.ts'
import { errorText, exitCodes, UsageError } from '../../lib/errors.ts'
import { makeFolder } from '../../lib/make-folder.ts'
import { type Place, stateFolder } from '../../intake/handover/handover-files.ts'
import { canonicalPath } from '../../store/sqlite/open.ts'

/** Bytes that the path of a socket may have: the system silently cuts off the rest. */
const pathBytesMax = 107
/** Connections served at a time; a further one is closed at once. */
const connectionsMax = 16
const connectionMsMax = 5_000
/** Its user and its group may connect. */
const socketUmask = 0o117
const folderUmask = 0o077

export interface QueueSocket {
  release(): void
}

type Environment = Readonly<Record<string, string | undefined>>

interface SocketPath {
  readonly path: string
  /** The folder is one user's own and made for the socket; otherwise it is the state directory. */
  readonly isApart: boolean
}

/**
 * Tells each program of this user or group that connects what `tell` returns. The socket is in the state
 * directory, or where that has no place for one, in a folder of this user's own. Resolves to `taken` when
 * another process has it. Rejects when there is no place for one.
 */
export async function openQueueSocket(
  place: Place,
  environment: Environment,
  tell: () => string,
): Promise<QueueSocket | 'taken'> {
  const reasons: string[] = []
  const uids = [ownUid()]
  for (const { path, isApart } of socketPaths(place, environment, uids)) {
    try {
      withUmask(isApart ? folderUmask : process.umask(), () => makeFolder(dirname(path)))
      if (isApart && !isOwn(dirname(path), uids)) throw new Error(`${dirname(path)} is not ours alone`)
      return await open(path, tell)
    } catch (error) {
      reasons.push(errorText(error))
    }
  }
  throw new Error(reasons.join('; '))
}

/**
 * Returns the answer of the process with this database; null when there is none. Throws UsageError when it
 * may not be asked, or says more than `bytesMax`.
 */
export async function askQueueSocket(
  place: Place,
  environment: Environment,
  bytesMax: number,
): Promise<string | null> {
  const uids = [ownUid(), lstatSync(socketFolder(place), { throwIfNoEntry: false })?.uid ?? ownUid()]
  for (const { path, isApart } of socketPaths(place, environment, uids)) {
    // A folder that others can write to is no place to ask.
    if (isApart && !isOwn(dirname(path), uids)) continue
    const socket = await connectTo(path)
    if (socket !== null) return read(socket, bytesMax)
  }
  return null
}

/** Returns the paths in the order in which they are tried. */
function socketPaths(place: Place, environment: Environment, uids: readonly number[]): SocketPath[] {
  const database = canonicalPath(place.database)
  const name = createHash('sha256').update(database).digest('hex').slice(0, 16)
  const runtime = [environment.XDG_RUNTIME_DIR, ...uids.map(uid => `/run/user/${uid}`)]
  const folders = [
    ...runtime.filter(folder => folder?.startsWith('/')).map(folder => `${folder}/piccolo-daimao`),
    ...uids.map(uid => join(tmpdir(), `piccolo-daimao-${uid}`)),
  ]
  return [
    { path: join(socketFolder(place), `${basename(database)}-${name}.sock`), isApart: false },
    ...folders.map(folder => ({ path: join(folder, `${name}.sock`), isApart: true })),
  ].filter(({ path }) => Buffer.byteLength(path) <= pathBytesMax)
}

function socketFolder(place: Place): string {
  return place.stateDir === null ? dirname(canonicalPath(place.database)) : stateFolder(place)
}

function isOwn(folder: string, uids: readonly number[]): boolean {
  const state = lstatSync(folder, { throwIfNoEntry: false })
  return state?.isDirectory() === true && uids.includes(state.uid) && (state.mode & 0o022) === 0
}

async function open(path: string, tell: () => string): Promise<QueueSocket | 'taken'> {
  const other = await connectTo(path).catch(() => 'there' as const)
  if (other !== null) {
    if (other !== 'there') other.destroy()
    return 'taken'
  }
  // Nobody listens: it is of a process that was killed.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(path)
  const server = createServer(socket => {
    const timer = systemClock.after(connectionMsMax, () => socket.destroy())
    socket.once('close', timer.cancel)
    // Who asked may be gone by now.
    socket.on('error', () => socket.destroy())
    socket.end(tell())
  })
  server.maxConnections = connectionsMax
  await listen(server, path)
  // It may be out of descriptors for a moment.
  server.on('error', () => {})
  server.unref()
  return { release: () => void server.close() }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // The system makes the socket within this call, so nobody can connect before its rights are set.
    withUmask(socketUmask, () => server.listen({ path }, resolve))
  })
}

/** Connects; null where nobody listens. Rejects with UsageError where this user may not ask. */
function connectTo(path: string): Promise<Socket | null> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    socket.once('connect', () => resolve(socket))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (['ENOENT', 'ENOTDIR', 'ECONNREFUSED', 'ENOTSOCK'].includes(error.code ?? '')) return resolve(null)
      const message = `${JSON.stringify(path)} cannot be asked what waits in the queue: ${error.code}`
      reject(new UsageError(message, exitCodes.unavailable))
    })
  })
}

async function read(socket: Socket, bytesMax: number): Promise<string> {
  const timer = systemClock.after(connectionMsMax, () => socket.destroy(new Error('too late')))
  const parts: Buffer[] = []
  let bytes = 0
  try {
    for await (const part of socket as AsyncIterable<Buffer>) {
      parts.push(part)
      bytes += part.length
      if (bytes > bytesMax) throw new UsageError('the service says more of its queue than there can be')
    }
    return Buffer.concat(parts).toString()
  } finally {
    timer.cancel()
    socket.destroy()
  }
}

function withUmask<T>(umask: number, work: () => T): T {
  const before = process.umask(umask)
  try {
    return work()
  } finally {
    process.umask(before)
  }
}

function ownUid(): number {
  return process.getuid?.() ?? 0
}
