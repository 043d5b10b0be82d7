import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { Folder } from '../../test/kit/service.ts'
import { Supervisor, type SupervisorOptions } from './supervisor.ts'

function supervise(program: string, options: Pick<SupervisorOptions, 'log' | 'stopTimeoutMs'>): Supervisor {
  const role = { name: 'consumer', command: 'consumer', environment: {}, nodeOptions: [] }
  const rest = { clock: systemClock, connect: () => {}, onTrouble: () => {} }
  return new Supervisor(role, { program, ...rest, ...options })
}

test('a child that does not stop in time is killed, which is said and is no fault', async () => {
  using folder = new Folder()
  const program = join(folder.path, 'program.mjs')
  writeFileSync(program, 'setInterval(() => {}, 1_000)')
  const lines: object[] = []
  const log = pino({}, { write: line => lines.push(JSON.parse(line)) })
  const supervisor = supervise(program, { log, stopTimeoutMs: 0 })
  void supervisor.start()
  expect(await supervisor.stop()).toBe(69)
  expect(lines).toMatchObject([{ level: 50, role: 'consumer', code: 'stop_timeout', signal: 'SIGKILL' }])
})

test('a supervisor that was told to stop before its child started starts none', async () => {
  const supervisor = supervise('/nowhere/program.js', {
    log: pino({ level: 'silent' }),
    stopTimeoutMs: 1_000,
  })
  expect(await supervisor.stop()).toBe(0)
  await supervisor.start()
  expect(supervisor.child).toBeNull()
})
