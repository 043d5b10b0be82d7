import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { Random } from '../kit/random.ts'
import { producerGoneAfterMs } from './consumer-process.ts'
import type { SimulatedTime } from './time.ts'
import type { Word } from './words.ts'

export const handoverWords = [
  'handover-twice',
  'handover-slow',
  'handover-cut-off',
  'handover-late',
] as const satisfies readonly Word[]
export type HandoverWord = (typeof handoverWords)[number]

const pauseMsMin = 1_200
const pauseMsMax = 3_000

/** A person, or a script, who carries hand-over files about. */
export class Operator {
  readonly #time: SimulatedTime
  readonly #random: Random
  /** Files that are still to be put somewhere. */
  #carriedCount = 0

  constructor(time: SimulatedTime, random: Random) {
    this.#time = time
    this.#random = random
  }

  get isBusy(): boolean {
    return this.#carriedCount > 0
  }

  /** Does with the file at `path` what the word says, starting now. */
  async carry(path: string, word: HandoverWord): Promise<void> {
    if (!existsSync(path)) return
    this.#carriedCount++
    const content = readFileSync(path)
    if (word !== 'handover-twice') rmSync(path)
    if (word === 'handover-twice') await this.#bringAgain(path, content)
    else if (word === 'handover-slow') await this.#copySlowly(path, content)
    else if (word === 'handover-cut-off') writeFileSync(path, content.subarray(0, this.#cut(content)))
    else {
      await this.#sleep(2 * producerGoneAfterMs)
      this.#put(path, content)
    }
    this.#carriedCount--
  }

  async #bringAgain(path: string, content: Buffer): Promise<void> {
    while (existsSync(path)) await this.#pause()
    await this.#pause()
    this.#put(path, content)
  }

  /** Copies like cp: bytes written to a file that was deleted meanwhile are nowhere. */
  async #copySlowly(path: string, content: Buffer): Promise<void> {
    const file = openSync(path, 'w')
    await this.#pause()
    const cut = this.#cut(content)
    writeFileSync(file, content.subarray(0, cut))
    await this.#pause()
    writeFileSync(file, content.subarray(cut))
    closeSync(file)
  }

  #put(path: string, content: Buffer): void {
    writeFileSync(`${path}.copy`, content)
    renameSync(`${path}.copy`, path)
  }

  /** Often in the middle of a batch, at times between two, or before the first. */
  #cut(content: Buffer): number {
    const anywhere = this.#random.below(content.length)
    const cut = this.#random.chance(0.5) ? anywhere : content.lastIndexOf('\n', anywhere) + 1
    return Math.min(cut, content.length - 1)
  }

  #pause(): Promise<void> {
    return this.#sleep(pauseMsMin + this.#random.below(pauseMsMax - pauseMsMin))
  }

  #sleep(ms: number): Promise<void> {
    return new Promise(resolve => this.#time.after(ms, resolve))
  }
}
