import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { makeFolder } from '../lib/make-folder.ts'

/**
 * Hand-over files: what a web process could not push before it had to stop, beside the database. One file a
 * producer, one batch a line, exactly as the queue would hold it. The next web process to start pushes them
 * under their old producer and sequences, so that whatever the queue had of them already is recognised.
 */
export interface Handover {
  readonly path: string
  readonly producer: string
}

const suffix = '.handover'
/** A few batches at a time. */
const readChunkBytes = 4 * 1024 * 1024

export function handoverPath(database: string, producer: string): string {
  return join(dirname(database), `${basename(database)}-${producer}${suffix}`)
}

/** Whole or not at all, and on the disk when it returns. Throws what the file system throws. */
export function writeHandover(database: string, producer: string, elements: readonly string[]): string {
  const path = handoverPath(database, producer)
  makeFolder(dirname(path))
  const file = openSync(`${path}.part`, 'w', 0o640)
  try {
    for (const element of elements) writeFileSync(file, `${element}\n`)
    fsyncSync(file)
  } catch (error) {
    rmSync(`${path}.part`, { force: true })
    throw error
  } finally {
    closeSync(file)
  }
  renameSync(`${path}.part`, path)
  syncFolder(dirname(path))
  return path
}

/** Those that wait beside the database now. */
export function listHandovers(database: string): Handover[] {
  const prefix = `${basename(database)}-`
  return namesIn(dirname(database))
    .filter(name => name.startsWith(prefix) && name.endsWith(suffix))
    .map(name => ({
      path: join(dirname(database), name),
      producer: name.slice(prefix.length, -suffix.length),
    }))
}

/**
 * The encoded batches in a hand-over file, in the order of their sequences; null when the file is gone, as
 * another process has brought it home. Line by line: the whole may be more than a string can hold.
 */
export function readHandover(path: string): string[] | null {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  try {
    const elements: string[] = []
    let rest: Buffer = Buffer.alloc(0)
    for (;;) {
      const chunk = Buffer.allocUnsafe(readChunkBytes)
      const byteCount = readSync(file, chunk)
      if (byteCount === 0) return elements
      rest = Buffer.concat([rest, chunk.subarray(0, byteCount)])
      for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a)) {
        elements.push(rest.toString('utf8', 0, end))
        rest = rest.subarray(end + 1)
      }
    }
  } finally {
    closeSync(file)
  }
}

/** Several processes may have brought the same file home: that it is gone is as good as removing it. */
export function removeHandover(path: string): void {
  rmSync(path, { force: true })
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
