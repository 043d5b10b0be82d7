import { basename, join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/process/log.ts'
import { handoverErrors } from './errors.ts'
import type { Disk } from './disk.ts'
import { isForeign, type Place, searchedFolders } from './handover-files.ts'

/** The service of that database has so long to take its file. */
const patienceMs = 10_000
/** The most files that are looked at in one folder. */
const listedMax = 1_000
/** The most files that are named at a time. */
const namedMax = 10

/**
 * Hand-over files that are named after another database. They are that one's, whose service may share the
 * folder, and are not touched; but one that nobody takes may have been brought here under a wrong name.
 */
export class ForeignFiles {
  readonly #place: Place
  readonly #clock: Clock
  readonly #log: Log
  /** When each file was first seen, by path. */
  readonly #seenMs = new Map<string, number>()
  readonly #stay = new Set<string>()

  constructor({ place, clock, log }: { place: Place; clock: Clock; log: Log }) {
    this.#place = place
    this.#clock = clock
    this.#log = log
  }

  /** Returns a note for each file that stays where it is. */
  notes(): string[] {
    const paths = [...this.#stay]
    const named = paths.slice(0, namedMax).map(path => `${basename(path)} is not delivered: handover_foreign`)
    const more = paths.length - named.length
    if (more > 0) named.push(`${more} more files of other databases are not delivered`)
    return named
  }

  /** Logs each file that stays once, the first ones at least. Rejects with what the file system says. */
  async look(disk: Disk): Promise<void> {
    const paths = new Set<string>()
    for (const folder of searchedFolders(this.#place)) {
      const names = await disk.list(folder, name => isForeign(this.#place, name), listedMax)
      for (const name of names) paths.add(join(folder, name))
    }
    const nowMs = this.#clock.monotonicMs()
    for (const path of this.#seenMs.keys()) {
      if (paths.has(path)) continue
      this.#seenMs.delete(path)
      this.#stay.delete(path)
    }
    for (const path of paths) {
      if (!this.#seenMs.has(path)) this.#seenMs.set(path, nowMs)
      if (this.#stay.has(path) || nowMs - this.#seenMs.get(path)! < patienceMs) continue
      this.#stay.add(path)
      if (this.#stay.size <= namedMax) this.#say(path)
    }
  }

  #say(path: string): void {
    const code = 'handover_foreign'
    const reason = `it is named after another database than ${basename(this.#place.database)}`
    const fields = { path, code, hint: handoverErrors[code].hint, reason }
    this.#log.warn(fields, 'a hand-over file stays where it is')
  }
}
