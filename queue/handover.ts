import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/**
 * Hand-over files: what a web process could not push before it had to stop, beside the database. One file a
 * producer, one batch a line, exactly as the queue would hold it. The next web process to start pushes them
 * under their old producer and sequences, so that whatever the queue had of them already is recognised.
 */
export interface Handover {
  readonly path: string
  readonly producer: string
  /** Encoded batches in the order of their sequences; none when the file is damaged. */
  readonly elements: readonly string[]
}

const suffix = '.handover'

export function handoverPath(database: string, producer: string): string {
  return join(dirname(database), `${basename(database)}-${producer}${suffix}`)
}

/** Whole or not at all, and on the disk when it returns. Throws what the file system throws. */
export function writeHandover(database: string, producer: string, elements: readonly string[]): string {
  const path = handoverPath(database, producer)
  mkdirSync(dirname(path), { recursive: true })
  const file = openSync(`${path}.part`, 'w', 0o640)
  try {
    for (const element of elements) writeFileSync(file, `${element}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(`${path}.part`, path)
  syncFolder(dirname(path))
  return path
}

export function readHandovers(database: string): Handover[] {
  const prefix = `${basename(database)}-`
  return namesIn(dirname(database))
    .filter(name => name.startsWith(prefix) && name.endsWith(suffix))
    .map(name => {
      const path = join(dirname(database), name)
      const elements = readFileSync(path, 'utf8').split('\n').slice(0, -1)
      return { path, producer: name.slice(prefix.length, -suffix.length), elements }
    })
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
