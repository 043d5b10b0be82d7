import { pino } from 'pino'
import { expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { Supervisor } from './supervisor.ts'

test('a supervisor that was told to stop before its child started starts none', async () => {
  const role = { name: 'consumer', command: 'consumer', environment: {}, nodeOptions: [] }
  const log = pino({ level: 'silent' })
  const supervisor = new Supervisor(role as never, {
    program: '/nowhere/program.js',
    clock: systemClock,
    log,
    stopTimeoutMs: 1_000,
    connect: () => {},
    onTrouble: () => {},
  })
  expect(await supervisor.stop()).toBe(0)
  await supervisor.start()
  expect(supervisor.child).toBeNull()
})
