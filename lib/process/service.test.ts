import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { expect, test } from 'vitest'

const service = path.join(import.meta.dirname, 'service.ts')

/** Runs a service whose one part does that when it starts, and says when it is stopped. */
function runPart(start: string) {
  const program = `
    import { runService } from '${service}'
    const part = {
      name: 'part',
      start() { setInterval(() => {}, 1_000); ${start} },
      stop() { console.log('the part was stopped') },
    }
    const parts = async () => [part]
    const log = { logLevel: 'info', logFormat: 'json' }
    const options = { process: 'x', ...log, stopTimeoutMs: 5_000, stopSignals: [], parts }
    process.exit(await runService(options, process))`
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', program]
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 15_000 })
  return { status, stdout }
}

test.each([
  ['a rejection that nobody handles', `setTimeout(() => Promise.reject(new Error('oops')), 10)`],
  ['an error that nobody catches', `setTimeout(() => { throw new Error('oops') }, 10)`],
])('%s stops a service in order, says so, and tells by the exit code', (_name, start) => {
  const { status, stdout } = runPart(start)
  expect(stdout).toMatch(/"level":"fatal".*oops.*an internal error/)
  expect(stdout).toContain('the part was stopped')
  expect(status).toBe(70)
})
