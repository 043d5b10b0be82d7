import { closeSync, fstatSync, lstatSync, openSync, readdirSync, readSync, rmSync } from 'node:fs'
import { type Disk, isNotFound, stateOf } from '../../intake/handover/disk.ts'

/** A disk that takes no time, for what has a time of its own. */
export const promptDisk: Disk = {
  async list(folder, isWanted, countMax) {
    try {
      return readdirSync(folder).filter(isWanted).sort().slice(0, countMax)
    } catch (error) {
      if (isNotFound(error)) return []
      throw error
    }
  },
  async state(path) {
    const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false })
    return stats === undefined ? null : stateOf(stats)
  },
  async open(path) {
    const file = openSync(path, 'r')
    return {
      state: async () => stateOf(fstatSync(file, { bigint: true })),
      read: async (into, position) => readSync(file, into, 0, into.length, position),
      close: async () => closeSync(file),
    }
  },
  remove: async path => rmSync(path, { force: true }),
}
