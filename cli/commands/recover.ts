import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { systemClock } from '../../lib/clock.ts'
import { errorText, exitCodes, OperationError, UsageError } from '../../lib/errors.ts'
import { createLog } from '../../lib/process/log.ts'
import { makeFolder } from '../../lib/make-folder.ts'
import { handoverError } from '../../intake/handover/errors.ts'
import {
  freePath,
  listHandovers,
  type Place,
  stateFolder,
  synced,
} from '../../intake/handover/handover-files.ts'
import { systemDisk } from '../../intake/handover/disk.ts'
import { type Manifest, readManifestAt } from '../../intake/handover/file-reader.ts'
import { queueOptions, stateOptions } from '../../queue/options.ts'
import { LedgerReader } from '../../store/sqlite/ledger.ts'
import { databaseOptions } from '../../lib/config/database-options.ts'
import { command } from '../command.ts'

const progressIntervalMs = 1_000
const mebibyte = 1024 * 1024

export const recoverCommand = command({
  name: 'recover',
  parameters: ['FILE'],
  summary: 'put a hand-over file where the service brings it home',
  about:
    'Checks that FILE is complete and belongs to this database (with --redis: to that of the queue), and\n' +
    'copies it into the state directory under its right name. A service that runs takes it within seconds,\n' +
    'else the next one does. What is in the totals already does not count again. FILE stays where it is.',
  options: { ...databaseOptions, ...stateOptions, ...queueOptions },
  async run({ values, positionals }, { print }) {
    // Others must not read a password among the arguments.
    process.title = 'piccolo recover'
    if (!positionals[0]) throw new UsageError('piccolo recover needs a file: piccolo recover FILE')
    const source = existing(positionals[0])
    const manifest = await check(source, print)
    for (const line of describe(manifest)) print(line)
    const store = await knownStore(values)
    const own = manifest.header?.store ?? null
    if (own !== null && store !== null && own !== store)
      throw handoverError('handover_foreign', `${source} is of the store ${own}, this is the store ${store}`)
    if (own === null || store === null) print('whether it belongs to this database is not known')
    const inPlace = await listHandovers(systemDisk, values)
    if (inPlace.some(({ path, producer }) => path === source && producer === manifest.producer))
      print(`${source} is where the service looks for it already`)
    else print(`copied to ${await copyHome(source, manifest, values, print)}; ${source} is no longer needed`)
    return exitCodes.done
  },
})

function existing(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    throw new UsageError(errorText(error))
  }
}

async function check(path: string, print: (line: string) => void): Promise<Manifest> {
  let printedMs = systemClock.monotonicMs()
  const onPiece = (bytesRead: number) => {
    if (systemClock.monotonicMs() - printedMs < progressIntervalMs) return
    printedMs = systemClock.monotonicMs()
    print(`checked ${Math.floor(bytesRead / mebibyte)} MiB of ${path}`)
  }
  try {
    return await readManifestAt(systemDisk, path, { onPiece })
  } catch (error) {
    const code = error instanceof OperationError ? error.code : 'handover_unreadable'
    throw handoverError(code as 'handover_unreadable', `${path}: ${errorText(error)}`, error)
  }
}

function describe({ header, producer, sequenceFirst, batchCount, increments }: Manifest): string[] {
  const last = sequenceFirst + batchCount - 1
  const lines = [
    `${batchCount} batches (${sequenceFirst} to ${last}) of producer ${producer}, ${increments} increments`,
  ]
  if (header === null) lines.push('it is of the first form, which does not tell whether its end is missing')
  return lines
}

/** Resolves to the store's id; null where there is no database, nor a queue that was bound to one. */
async function knownStore({ database, redis }: Place & { redis: string | null }): Promise<string | null> {
  if (redis === null) {
    if (statSync(database, { throwIfNoEntry: false }) === undefined) return null
    const reader = new LedgerReader(database)
    try {
      return reader.storeId()
    } finally {
      reader.close()
    }
  }
  const { RedisQueue } = await import('../../queue/redis/redis-queue.ts')
  const log = createLog({ level: 'silent', format: 'json', process: 'recover', isTerminal: false })
  const queue = new RedisQueue({ url: redis, shardIndex: 0, clock: systemClock, log, onlyLooks: true })
  try {
    await queue.connect()
    return await queue.storeId()
  } finally {
    await queue.close()
  }
}

/** Whole or not at all; resolves to its path. */
async function copyHome(
  source: string,
  manifest: Manifest,
  place: Place,
  print: (line: string) => void,
): Promise<string> {
  const folder = stateFolder(place)
  let aside = ''
  try {
    makeFolder(folder)
    const path = freePath(folder, place, manifest.producer)
    aside = `${path}.part`
    rmSync(aside, { force: true })
    copyFileSync(source, aside, constants.COPYFILE_EXCL)
    chmodSync(aside, 0o640)
    // The service has to read and to remove it.
    const { uid, gid } = statSync(folder)
    if (process.getuid?.() === 0) chownSync(aside, uid, gid)
    synced(aside)
    const copy = await check(aside, print)
    if (copy.producer !== manifest.producer || copy.increments !== manifest.increments)
      throw new Error(`${source} has changed meanwhile`)
    renameSync(aside, path)
    synced(folder)
    return path
  } catch (error) {
    if (aside !== '') rmSync(aside, { force: true })
    throw new UsageError(`cannot copy it to ${folder}: ${errorText(error)}`, exitCodes.unavailable)
  }
}
