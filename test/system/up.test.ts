import { expect, test } from 'vitest'
import { until } from '../kit/condition.ts'
import { freePort, isAlive, Program } from '../kit/service.ts'
import { TestBed } from '../kit/test-bed.ts'

const bed = new TestBed()

function run(...args: string[]): Program {
  return bed.use(new Program(args))
}

test('an increment becomes a total that the sqlite3 shell and piccolo total show', async () => {
  const service = await bed.start()
  expect(await service.increment('foo', 5)).toBe(200)
  expect(await service.increment('foo', -7)).toBe(200)
  await service.hasTotals(new Map([['foo', '-2']]))
  const total = run('total', 'foo', '--database', bed.folder.database)
  expect(await total.exited).toBe(0)
  expect(total.output).toBe('-2\n')
})

test('GET / shows a request to the port that the service runs on', async () => {
  const service = await bed.start('--web-processes', '1')
  const page = await (await fetch(service.url)).text()
  expect(page).toContain(`curl -d 'key=foo&value=5' localhost:${service.port}/increment`)
})

test('every process can be told in ps by its title', async () => {
  const service = await bed.start('--web-processes', '2')
  expect([...service.children().keys()].sort()).toEqual([
    'piccolo consumer',
    'piccolo web 1',
    'piccolo web 2',
  ])
})

test('SIGTERM stops everything in order and loses nothing', async () => {
  const service = await bed.start('--web-processes', '2', '--flush-interval-ms', '60000')
  for (let index = 0; index < 20; index++) expect(await service.increment('foo', 1)).toBe(200)
  expect(await service.stop('SIGTERM')).toBe(0)
  expect(bed.folder.totals()).toEqual(new Map([['foo', '20']]))
  expect(service.children().size).toBe(0)
})

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  '%s to the whole process group, as a terminal or a service manager sends it, loses nothing either',
  async signal => {
    const service = await bed.start('--flush-interval-ms', '60000')
    expect(await service.increment('foo', 1)).toBe(200)
    for (const pid of service.children().values()) process.kill(pid, signal)
    expect(await service.stop(signal)).toBe(0)
    expect(bed.folder.totals().get('foo')).toBe('1')
  },
)

test('SIGTERM to one child restarts it in order, without a loss', async () => {
  const service = await bed.start('--flush-interval-ms', '60000')
  expect(await service.increment('foo', 1)).toBe(200)
  const before = service.children()
  for (const pid of before.values()) process.kill(pid, 'SIGTERM')
  await until('every child is a new one', () => {
    const now = service.children()
    return now.size === before.size && [...now].every(([title, pid]) => before.get(title) !== pid)
  })
  await service.hasTotals(new Map([['foo', '1']]))
})

test('SIGTERM during the start ends it, whoever is just starting, and leaves no process behind', async () => {
  for (const title of ['consumer', 'web']) {
    const program = run('up', '--port', String(await freePort()), '--database', bed.folder.database)
    const started = new Map<string, number>()
    await until(`a ${title} is starting`, () => {
      for (const [name, pid] of program.children()) started.set(name, pid)
      return [...started.keys()].some(name => name.includes(title) || (title === 'consumer' && name !== ''))
    })
    expect(await program.stop('SIGTERM')).toBe(0)
    await until('the children are gone', () => [...started.values()].every(pid => !isAlive(pid)))
  }
})

test('a second up on the same port is refused', async () => {
  const service = await bed.start()
  const second = run('up', '--port', String(service.port), '--database', `${bed.folder.path}/other.db`)
  expect(await second.exited).toBe(78)
  expect(second.output).toMatch(/cannot have --port \d+: another piccolo up has it/)
  expect(await service.increment('foo', 1)).toBe(200)
})

test('a second up on the same database is refused', async () => {
  const service = await bed.start()
  const second = run('up', '--port', String(await freePort()), '--database', bed.folder.database)
  expect(await second.exited).toBe(78)
  expect(second.output).toMatch(/another consumer has .*\[store_locked\]/)
  expect(await service.increment('foo', 1)).toBe(200)
})

test('a web process of its own is refused on the port of an up', async () => {
  const service = await bed.start()
  const web = run('web', '--port', String(service.port), '--redis', '/nowhere/redis.sock')
  expect(await web.exited).toBe(78)
  expect(web.output).toMatch(/belongs to a piccolo up/)
})

test('health exits with 0 while the service keeps its promises, and with 1 when it is gone', async () => {
  const service = await bed.start()
  const good = run('health', '--port', String(service.port))
  const exitCode = await good.exited
  expect(good.output).toBe('{"ready":true,"reasons":[]}\n')
  expect(exitCode).toBe(0)
  await service.stop()
  const bad = run('health', '--port', String(service.port))
  expect(await bad.exited).toBe(1)
  expect(bad.output).toMatch(/ECONNREFUSED/)
})

test('readiness fails, and says why, while increments cannot be committed in time', async () => {
  const service = await bed.start('--staleness-max-ms', '300')
  const consumer = service.children().get('piccolo consumer')!
  process.kill(consumer, 'SIGSTOP')
  expect(await service.increment('foo', 1)).toBe(200)
  const readyz = async () => (await fetch(`${service.url}/readyz`)).status
  await until('readiness fails', async () => (await readyz()) === 503)
  expect(await (await fetch(`${service.url}/readyz`)).text()).toMatch(
    /oldest increment .* promised are 300 ms/,
  )
  process.kill(consumer, 'SIGCONT')
  await until('readiness is back', async () => (await readyz()) === 200)
  await service.hasTotals(new Map([['foo', '1']]))
})

test('metrics of every process come from any web process', async () => {
  const service = await bed.start()
  await service.increment('foo', 1)
  await service.hasTotals(new Map([['foo', '1']]))
  const text = await (await fetch(`${service.url}/metrics`)).text()
  expect(text).toMatch(/^piccolo_increments_accepted_total\{process="web 1"\} 1$/m)
  expect(text).toMatch(/^piccolo_increments_committed_total\{process="consumer"\} 1$/m)
  expect(text).toMatch(/^piccolo_staleness_seconds_count\{process="consumer"\} 1$/m)
})

test.each([
  [['up', '--flush-interval-ms', '5'], 64, '--flush-interval-ms must be 10 to 60000, got 5'],
  [['up', '--no-such-thing'], 64, 'unknown option --no-such-thing'],
  [['up', '--flush', '5'], 64, 'did you mean --flush-interval-ms?'],
  [['up', '--port'], 64, '--port needs a value: --port PORT'],
  [['up', '--redis', 'http://x'], 64, '--redis must be a redis:// or rediss:// URL'],
  [['up', 'surplus'], 64, 'piccolo up does not take "surplus"'],
  [['web', '--port', '1'], 64, 'piccolo web needs --redis'],
  [['consumer'], 64, 'piccolo consumer needs --redis'],
  [['total'], 64, 'piccolo total needs a key'],
  [['total', 'foo', '--database', '/nowhere/numbers.db'], 78, 'there is no database at /nowhere/numbers.db'],
  [
    ['consumer', '--redis', '/nowhere', '--database', '/proc/nowhere/numbers.db'],
    78,
    'there is no folder /proc/nowhere',
  ],
  [['dance'], 64, 'there is no command dance'],
  [['config', 'dance'], 64, 'there is no action dance; there are show and check'],
])('piccolo %j ends with %i and one line', async (args, exitCode, message) => {
  const program = run(...args)
  expect(await program.exited).toBe(exitCode)
  expect(program.output).toContain(message)
  expect(program.output.trim().split('\n')).toHaveLength(1)
})

test('config shows each option and where it comes from, without passwords', async () => {
  const args = ['config', 'show', '--port', '4444', '--redis', 'REDIS://me:secret@example.test']
  const program = bed.use(new Program(args, { PICCOLO_FLUSH_INTERVAL_MS: '250' }))
  expect(await program.exited).toBe(0)
  expect(program.output).toMatch(/^--port +4444 +flag$/m)
  expect(program.output).toMatch(/^--flush-interval-ms +250 +environment$/m)
  expect(program.output).toMatch(/^--keys-max +1000000 +default$/m)
  expect(program.output).toMatch(/^--redis +redis:\/\/me:\*\*\*@example.test +flag$/m)
})

test('config check refuses a wrong value and a variable that nobody reads', async () => {
  const check = (environment: Record<string, string>) =>
    bed.use(new Program(['config', 'check'], environment))
  const wrong = check({ PICCOLO_PORT: 'many' })
  const unknown = check({ PICCOLO_PROT: '3333' })
  const right = check({ PICCOLO_PORT: '3333' })
  expect([await wrong.exited, await unknown.exited, await right.exited]).toEqual([78, 78, 0])
  expect(wrong.output).toContain('PICCOLO_PORT must be 1 to 65535, got many')
  expect(unknown.output).toContain('unknown variable PICCOLO_PROT')
})

test('help tells every option with its default', async () => {
  const program = run('up', '--help')
  expect(await program.exited).toBe(0)
  expect(program.output).toMatch(/--flush-interval-ms MS .*\(default: 100\)/)
})

test.each(['redis://:100%sure@h', 'REDIS://me:12#sure@h'])(
  '%s is refused in one line that says how to write a password, and does not show it',
  async url => {
    for (const [exitCode, program] of [
      [64, new Program(['up', '--redis', url])],
      [78, new Program(['config', 'show'], { PICCOLO_REDIS: url })],
      [64, new Program(['consumer', url])],
    ] as const) {
      bed.use(program)
      expect(await program.exited).toBe(exitCode)
      expect(program.output.trim().split('\n')).toHaveLength(1)
      expect(program.output).toMatch(/percent-encoded \(% is %25, \/ is %2F, # is %23|does not take/)
      expect(program.output).not.toContain('sure')
    }
  },
)
