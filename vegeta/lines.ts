import { closeSync, createReadStream, openSync, writeSync } from 'node:fs'

const bufferedCharacters = 1024 * 1024

/** Writes a text file line by line, in memory that does not grow with it. */
export class LineWriter {
  readonly #file: number
  /** Not yet in the file. Empty when it is closed. */
  #buffered = ''

  /** Empties the file if there is one. */
  constructor(path: string) {
    this.#file = openSync(path, 'w')
  }

  write(line: string): void {
    this.#buffered += `${line}\n`
    if (this.#buffered.length >= bufferedCharacters) this.#flush()
  }

  /** Writes the lines that are not in the file yet. */
  close(): void {
    try {
      this.#flush()
    } finally {
      closeSync(this.#file)
    }
  }

  #flush(): void {
    const bytes = Buffer.from(this.#buffered)
    this.#buffered = ''
    for (let written = 0; written < bytes.length; ) written += writeSync(this.#file, bytes, written)
  }
}

/**
 * The lines of a text file. Only a line feed ends one: a key may hold whatever else Unicode and Node take
 * for a line break.
 */
export async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of createReadStream(path, { encoding: 'utf8', highWaterMark: bufferedCharacters })) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    yield* lines
  }
  if (rest !== '') yield rest
}
