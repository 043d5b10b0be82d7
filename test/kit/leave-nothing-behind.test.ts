import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { until } from './condition.ts'
import { processesBelow } from './leave-nothing-behind.ts'
import { Folder, isAlive } from './service.ts'

const program = (path: string) => fileURLToPath(new URL(path, import.meta.url))

test.each([
  ['SIGINT', '../chaos/run.ts', ['--minutes', '1']],
  ['SIGTERM', '../simulation/run.ts', ['--service']],
  ['SIGHUP', '../mutants/run.ts', ['a gap is jumped']],
] as const)('%s to %s ends it at once, with no process and no file left', async (signal, path, args) => {
  using folder = new Folder()
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program(path), ...args], {
    env: { ...process.env, TMPDIR: folder.path },
    stdio: 'ignore',
  })
  const ended = new Promise(resolve => child.once('exit', resolve))
  let below: number[] = []
  await until('it is at work', () => {
    below = processesBelow(child.pid!)
    return (
      readdirSync(folder.path, { recursive: true }).length > 2 &&
      (below.length > 0 || path.includes('simulation'))
    )
  })
  child.kill(signal)
  expect(await ended).toBe(128 + constants.signals[signal])
  expect(folder.files()).toEqual([])
  await until('the processes are gone', () => !below.some(isAlive))
})
