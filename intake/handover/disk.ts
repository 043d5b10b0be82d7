import { type BigIntStats, constants } from 'node:fs'
import { lstat, open, opendir, unlink } from 'node:fs/promises'

export interface FileState {
  readonly isFile: boolean
  readonly size: number
  /** Changes whenever the file, or what lies under its name, does. */
  readonly signature: string
}

export interface OpenFile {
  state(): Promise<FileState>
  /** Reads from `position` on; resolves to the number of bytes, 0 at the end of the file. */
  read(into: Buffer, position: number): Promise<number>
  close(): Promise<void>
}

/** The calls to the file system that bringing hand-over files home needs; a simulation has its own. */
export interface Disk {
  /** Resolves to at most `countMax` names in a folder for which `isWanted`, sorted; none where it is missing. */
  list(folder: string, isWanted: (name: string) => boolean, countMax: number): Promise<string[]>
  /** The state of what lies there itself, not of what a link points to; null for nothing. */
  state(path: string): Promise<FileState | null>
  /** Opens a file. Never waits for a writer, as opening a FIFO would, and follows no link. */
  open(path: string): Promise<OpenFile>
  /** Succeeds if the file is gone already. */
  remove(path: string): Promise<void>
}

/** Every call rejects with what the file system says. None blocks the process. */
export const systemDisk: Disk = {
  async list(folder, isWanted, countMax) {
    const names: string[] = []
    try {
      for await (const { name } of await opendir(folder)) {
        if (isWanted(name)) names.push(name)
        if (names.length === countMax) break
      }
    } catch (error) {
      if (!isNotFound(error)) throw error
    }
    return names.sort()
  },
  state: path => lstat(path, { bigint: true }).then(stateOf, whenMissing(null)),
  async open(path) {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    return {
      state: async () => stateOf(await file.stat({ bigint: true })),
      read: async (into, position) => (await file.read(into, 0, into.length, position)).bytesRead,
      close: () => file.close(),
    }
  },
  remove: path => unlink(path).catch(whenMissing(undefined)),
}

export function stateOf(stats: BigIntStats): FileState {
  const { dev, ino, size, mtimeNs, ctimeNs } = stats
  const signature = [dev, ino, size, mtimeNs, ctimeNs].join(' ')
  return { isFile: stats.isFile(), size: Number(size), signature }
}

/** There is no such file, or no such folder. */
export function isNotFound(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | null)?.code
  return code === 'ENOENT' || code === 'ENOTDIR'
}

function whenMissing<T>(value: T): (error: unknown) => T {
  return error => {
    if (isNotFound(error)) return value
    throw error
  }
}
