import {
  closeSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { errorText, type OperationError } from '../../lib/errors.ts'
import type { Log } from '../../lib/process/log.ts'
import { makeFolder } from '../../lib/make-folder.ts'
import { batchIdOf, queuedBatchOf } from '../../batch/batch.ts'
import { handoverError } from './errors.ts'
import { type Disk, isNotFound } from './disk.ts'
import { handoverPieces } from './file-format.ts'

/**
 * Hand-over files: what a process could not give to the queue, or the queue to the store, before it had to
 * stop. The next web process to start, or one that runs already, pushes these batches under their old
 * producer and sequences, so that whatever the store has of them already is recognised.
 */
export interface Leftover {
  /** The store that the queue is bound to; null where that is not known. */
  readonly store: string | null
  readonly producer: string
  /** Encoded batches in the order of their sequences, without gaps; at least one. */
  readonly elements: readonly string[]
}

export interface HandoverFile {
  readonly path: string
  readonly name: string
  /** The producer that it is named after. */
  readonly producer: string
  /** Among those of its producer: the parts of what was divided are written in the order of their numbers. */
  readonly number: number
}

/** Which files are meant: those of one database. */
export interface Place {
  readonly database: string
  /** Null for the folder of the database. */
  readonly stateDir: string | null
}

const suffix = '.handover'
/** Looked at in one folder: what is beyond waits until others are gone. */
const handoversListedMax = 1_000
/** Files of one producer in one folder. */
const namesMax = 100

export function stateFolder({ database, stateDir }: Place): string {
  return resolve(stateDir ?? dirname(database))
}

/** Returns the folders where hand-over files are looked for: the state directory, and the database's. */
export function searchedFolders(place: Place): string[] {
  return [...new Set([stateFolder(place), resolve(dirname(place.database))])]
}

/** Lists the files that wait now, by number. Rejects with what the file system says. */
export async function listHandovers(disk: Disk, place: Place): Promise<HandoverFile[]> {
  const handovers: HandoverFile[] = []
  for (const folder of searchedFolders(place)) {
    const names = await disk.list(folder, name => isOne(place, name), handoversListedMax)
    for (const name of names) handovers.push({ path: join(folder, name), name, ...namedAfter(place, name) })
  }
  return handovers.sort((left, right) => left.number - right.number)
}

/**
 * Reports whether a file with batches of this producer waits, complete or not. Throws what the file system
 * throws; blocks for the time of one look into each folder.
 */
export function isHandedOver(place: Place, producer: string): boolean {
  const isItsFile = (folder: string, name: string) =>
    isOne(place, name) &&
    namedAfter(place, name).producer === producer &&
    lstatSync(join(folder, name), { throwIfNoEntry: false })?.isFile() === true
  return searchedFolders(place).some(folder => namesIn(folder).some(name => isItsFile(folder, name)))
}

/** Returns a path for a file of this producer under which there is nothing yet. */
export function freePath(folder: string, { database }: Place, producer: string): string {
  const start = join(folder, `${basename(database)}-${producer}`)
  for (let number = 1; number <= namesMax; number++) {
    const path = `${start}${number === 1 ? '' : `.${number}`}${suffix}`
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return path
  }
  throw new Error(`${start}${suffix} and ${namesMax - 1} others are there already`)
}

/** The result of writing batches down. */
export interface Left {
  readonly paths: readonly string[]
  /** Batches that could be written nowhere. */
  readonly unwritten: readonly Leftover[]
}

/**
 * Writes down what a stopping process still holds, for the next start. With no room in the state directory it
 * tries the folder of the database, and then the one for temporary files, and says so. What is larger than
 * the system lets a file be is divided.
 */
export function leaveBatches(place: Place, leftover: Leftover, log: Log): Left {
  const batchCount = leftover.elements.length
  const searched = searchedFolders(place)
  for (const folder of [...searched, ...temporaryFolders()]) {
    try {
      const path = writeHandover(folder, place, leftover)
      if (searched.includes(folder)) log.warn({ path, batchCount }, 'not committed: left for the next start')
      else
        log.fatal(
          { code: 'handover_misplaced', path, batchCount, hint: `run piccolo recover ${path}` },
          'left where no start looks',
        )
      return { paths: [path], unwritten: [] }
    } catch (error) {
      if (batchCount > 1 && isTooLarge(error)) return leaveHalves(place, leftover, log)
      const reason = errorText(error)
      log.fatal({ folder, reason, batchCount }, 'no hand-over file can be written in this folder')
    }
  }
  return { paths: [], unwritten: [leftover] }
}

function leaveHalves(place: Place, leftover: Leftover, log: Log): Left {
  const { elements } = leftover
  const half = Math.ceil(elements.length / 2)
  const halves = [elements.slice(0, half), elements.slice(half)]
  const left = halves.map(each => leaveBatches(place, { ...leftover, elements: each }, log))
  return { paths: left.flatMap(({ paths }) => paths), unwritten: left.flatMap(({ unwritten }) => unwritten) }
}

/** Than `ulimit -f`, or the file system, allows. */
function isTooLarge(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EFBIG'
}

/** The error of a stop that can write these batches nowhere; logs it. */
export function unwritable(unwritten: readonly Leftover[], log: Log): OperationError {
  const elements = unwritten.flatMap(leftover => leftover.elements)
  const error = handoverError('handover_unwritable', `${elements.length} batches can be written nowhere`)
  const { code, message, policy } = error
  const fields = { code, hint: policy.hint, reason: message, increments: incrementsIn(elements) }
  log.fatal(fields, 'lost, but for what the queue has')
  return error
}

/** Returns the batches in the order of their sequences, each once, and divided where one is missing. */
export function runsOf(elements: readonly string[]): string[][] {
  const bySequence = new Map(elements.map(element => [batchIdOf(element)!.sequence, element]))
  const runs: string[][] = []
  let previous = Number.NaN
  for (const [sequence, element] of [...bySequence].sort(([left], [right]) => left - right)) {
    if (sequence === previous + 1) runs.at(-1)!.push(element)
    else runs.push([element])
    previous = sequence
  }
  return runs
}

/** Whole or not at all, and on the disk when it returns. Throws what the file system throws. */
export function writeHandover(folder: string, place: Place, { store, producer, elements }: Leftover): string {
  makeFolder(folder)
  const path = freePath(folder, place, producer)
  const header = { store, shard: 0, producer, batches: elements.length, increments: incrementsIn(elements) }
  writeAside(path, file => {
    for (const piece of handoverPieces(header, elements)) writeFileSync(file, piece)
  })
  return path
}

function incrementsIn(elements: readonly string[]): number {
  return elements.reduce((sum, element) => sum + (queuedBatchOf(element)?.increments ?? 0), 0)
}

/** Makes `path` of what `write` writes, synced, or leaves nothing behind and throws. */
function writeAside(path: string, write: (file: number) => void): void {
  const aside = `${path}.part`
  rmSync(aside, { force: true })
  try {
    const file = openSync(aside, 'wx', 0o640)
    try {
      write(file)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(aside, path)
  } catch (error) {
    rmSync(aside, { force: true })
    throw error
  }
  synced(dirname(path))
}

/** Waits until a file, or the names in a folder, are on the disk. */
export function synced(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function isOne({ database }: Place, name: string): boolean {
  return name.startsWith(`${basename(database)}-`) && name.endsWith(suffix)
}

/** It is named after another database. */
export function isForeign(place: Place, name: string): boolean {
  return name.endsWith(suffix) && !isOne(place, name)
}

function namedAfter({ database }: Place, name: string): Pick<HandoverFile, 'producer' | 'number'> {
  const stem = name.slice(basename(database).length + 1, -suffix.length)
  const number = /\.(\d{1,3})$/.exec(stem)
  if (number === null) return { producer: stem, number: 1 }
  return { producer: stem.slice(0, number.index), number: Number(number[1]) }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (isNotFound(error)) return []
    throw error
  }
}

/** None where it vanishes with this service: see PrivateTmp in systemd.exec. */
function temporaryFolders(): string[] {
  const folder = resolve(tmpdir())
  try {
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
    const isPrivate = mounts.some(line => {
      const [, , , root, mountPoint] = line.split(' ')
      return root?.includes('/systemd-private-') && `${folder}/`.startsWith(`${mountPoint}/`)
    })
    return isPrivate ? [] : [folder]
  } catch {
    return [folder]
  }
}
