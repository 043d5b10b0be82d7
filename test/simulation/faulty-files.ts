import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { dirname } from 'node:path'
import type { Random } from '../kit/random.ts'

/** Errors of each call. Calls with a descriptor fail for files that were opened under the folder. */
const failures = {
  openSync: ['EMFILE', 'EACCES', 'ENOSPC'],
  readdirSync: ['EMFILE', 'EACCES'],
  rmSync: ['EACCES', 'EIO'],
  renameSync: ['EACCES', 'EIO'],
  statSync: ['EACCES', 'EIO'],
  lstatSync: ['EACCES', 'EIO'],
  fstatSync: ['EIO'],
  readSync: ['EIO'],
  writeSync: ['ENOSPC', 'EIO'],
  writeFileSync: ['ENOSPC', 'EIO'],
  fsyncSync: ['ENOSPC', 'EIO'],
  closeSync: [],
} as const
type Name = keyof typeof failures
const names = Object.keys(failures) as Name[]
type Call = (...args: unknown[]) => unknown

/** Lets calls of the file system fail at times, below all code, for what lies in one folder. */
export class FaultyFiles {
  readonly #originals = new Map(names.map(name => [name, fs[name] as Call]))
  readonly #descriptors = new Set<unknown>()
  #isQuiet = false

  constructor(folder: string, random: Random, probability: () => number) {
    const isOurs = (target: unknown) =>
      this.#descriptors.has(target) || target === folder || dirname(String(target)) === folder
    this.#install(name => (...args) => {
      if (!this.#isQuiet && failures[name].length > 0 && isOurs(args[0]) && random.chance(probability())) {
        const code = random.pick<string>(failures[name])
        throw Object.assign(new Error(`${code}: ${name}, simulated`), { code })
      }
      const result = this.#originals.get(name)!(...args)
      if (name === 'closeSync') this.#descriptors.delete(args[0])
      if (name === 'openSync' && isOurs(args[0])) this.#descriptors.add(result)
      return result
    })
  }

  /** Nothing fails in `work`. */
  quietly<T>(work: () => T): T {
    this.#isQuiet = true
    try {
      return work()
    } finally {
      this.#isQuiet = false
    }
  }

  /** Nothing fails any more. */
  close(): void {
    this.#install(name => this.#originals.get(name)!)
  }

  #install(callOf: (name: Name) => Call): void {
    for (const name of names) Object.assign(fs, { [name]: callOf(name) })
    syncBuiltinESMExports()
  }
}
