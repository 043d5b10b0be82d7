import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { commitAll } from '../../test/disk-faults/commit.ts'

const program = join(import.meta.dirname, '../../test/disk-faults/run.ts')
const batchCount = 3
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'piccolo-disk-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Runs the program on a disk that fails at certain system calls. */
function applyOnBrokenDisk(path: string, fault: string) {
  const log = join(folder, 'strace.log')
  const strace = ['-f', '-qq', '-o', log, '-e', `inject=${fault}`, '-e', 'signal=none']
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', program, path, String(batchCount)]
  const { status, stdout, stderr } = spawnSync('strace', [...strace, ...node], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  const wasInjected = readFileSync(log, 'utf8').includes('(INJECTED)')
  const committed = stdout.match(/^committed/gm)?.length ?? 0
  return { status, output: stdout + stderr, wasInjected, committed }
}

function totals(path: string): number[] {
  const database = new Sqlite(path, { readonly: true })
  try {
    return database.prepare('SELECT DISTINCT value FROM numbers').pluck().all() as number[]
  } finally {
    database.close()
  }
}

/** The total of every key after so many batches: each adds a decimal digit of its own. */
const totalAfter = (count: number) => Number('1'.repeat(count))

/** Some containers forbid to trace even one's own children. */
const mayTrace = spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0

/** Below SQLite, by its system calls: the first, the one after `step`, … until none is left to fail. */
test.skipIf(!mayTrace).each([
  { name: 'a failing sync', fault: 'fsync,fdatasync:error=EIO:when=', onwards: '', step: 1 },
  { name: 'a disk that syncs no more', fault: 'fsync,fdatasync:error=EIO:when=', onwards: '+', step: 1 },
  { name: 'a failing write', fault: 'pwrite64:error=EIO:when=', onwards: '', step: 2 },
  { name: 'a full disk that is given room', fault: 'pwrite64:error=ENOSPC:when=', onwards: '', step: 3 },
  { name: 'a full disk', fault: 'pwrite64:error=ENOSPC:when=', onwards: '+', step: 3 },
])(
  '$name, at whichever call, loses no commit and applies nothing twice',
  async ({ fault, onwards, step }) => {
    let faultCount = 0
    for (let call = 1; ; call += step) {
      const path = join(folder, `${call}.db`)
      const { status, output, wasInjected, committed } = applyOnBrokenDisk(path, `${fault}${call}${onwards}`)
      if (!wasInjected) break
      faultCount++
      expect([0, 70], output).toContain(status)
      // Nobody knows of the one at which it failed; of those before, everybody does.
      if (committed > 0) expect([totalAfter(committed), totalAfter(committed + 1)]).toContain(totals(path)[0])
      await commitAll(path, batchCount, () => {})
      expect(totals(path)).toEqual([totalAfter(batchCount)])
    }
    expect(faultCount).toBeGreaterThan(batchCount)
  },
  120_000,
)
