import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { optionProblems } from '../../cli/check-options.ts'
import { allOptions } from '../../cli/up/up-options.ts'
import { systemClock } from '../../lib/clock.ts'
import { classifySystemError } from '../../lib/errors.ts'
import { createLog } from '../../lib/process/log.ts'
import { LogOutput } from '../../lib/process/log-output.ts'
import { parseOptions } from '../../lib/config/options.ts'
import { storeError } from '../../store/errors.ts'
import { LedgerReader } from '../../store/sqlite/ledger.ts'
import { openSqliteStore, openSqliteReader } from '../../store/sqlite/open.ts'
import { Folder, freePort, Program } from '../kit/service.ts'

// A command that did not work ends with one line for the operator, and never with a stack.

const silent = createLog({ level: 'silent', format: 'json', process: 'test', isTerminal: false })

let folder: Folder
beforeEach(() => {
  folder = new Folder()
})
afterEach(() => folder[Symbol.dispose]())

async function run(...args: string[]): Promise<{ exitCode: number | null; output: string }> {
  await using program = new Program(args)
  const exitCode = await program.exited
  return { exitCode, output: program.output }
}

/** Makes what is at the path, and says what the message must contain. */
const notOurs: readonly [string, (path: string) => void, RegExp][] = [
  ['a database of another program', path => sql(path, 'CREATE TABLE users (id)'), /users \[store_unknown\]/],
  ['a table of that name', path => sql(path, 'CREATE TABLE numbers (id)'), /not ours \[store_unknown\]/],
  ['a text', path => writeFileSync(path, 'a text\n'.repeat(500)), /no SQLite database.*\[store_unknown\]/],
  ['an empty file', path => writeFileSync(path, ''), /is empty.*\[store_unknown\]/],
  ['a folder', path => mkdirSync(path), /is a folder \[store_unknown\]/],
  ['a device', path => symlinkSync('/dev/zero', path), /is no file \[store_unknown\]/],
  ['a link to itself', path => symlinkSync(path, path), /\[store_unreadable\]/],
  ['nothing', () => {}, /there is no database at .*\[store_unreadable\]/],
]

function sql(path: string, statement: string): void {
  expect(path).toBe(folder.database)
  folder.sql(statement)
}

/** The code behind the message, as `piccolo` prints both. */
function refusal(open: () => unknown): string {
  try {
    open()
  } catch (error) {
    const { message, code } = error as { message: string; code?: string }
    return `${message} [${code}]`
  }
  return 'none'
}

test.each(notOurs)('%s in the place of the database is refused by total and verify', (_, make, message) => {
  make(folder.database)
  expect(refusal(() => openSqliteReader(folder.database))).toMatch(message)
  expect(refusal(() => new LedgerReader(folder.database))).toMatch(message)
})

test('a path that is no file is refused before anything is made beside it', () => {
  mkdirSync(folder.database)
  expect(refusal(() => openSqliteStore(folder.database, { clock: systemClock, log: silent }))).toMatch(
    /is a folder \[store_unknown\]/,
  )
  expect(folder.files()).toEqual(['numbers.db'])
})

test.each([
  ['help help', 0, /^Piccolo Daimao .* counts/],
  ['help -h', 0, /^Piccolo Daimao .* counts/],
  ['help version', 0, /^1\./],
  ['--hlep', 64, /did you mean --help\?/],
  ['--verison', 64, /did you mean --version\?/],
  ['--prt 4444', 64, /stands before the command/],
  ['up --FLUSH-INTERVAL-MS 5', 64, /did you mean --flush-interval-ms\?/],
  ['up -p 4444', 64, /did you mean --port/],
  ['up -x', 64, /unknown option -x$/],
  ['VERIFY', 64, /did you mean verify\?/],
])('piccolo %s says in one line what is meant', async (line, exitCode, message) => {
  const { output, ...ended } = await run(...line.split(' '))
  expect(ended.exitCode).toBe(exitCode)
  expect(output.trimEnd()).toMatch(message)
  if (exitCode !== 0) expect(output.trimEnd().split('\n')).toHaveLength(1)
})

test('a database of the older Python program has totals, and no ledger', async () => {
  folder.sql(
    "CREATE TABLE numbers (key TEXT, value INTEGER DEFAULT 0); INSERT INTO numbers VALUES ('foo', 3)",
  )
  const reader = openSqliteReader(folder.database)
  expect(await reader.total('foo')).toBe(3n)
  await reader.close()
  expect(refusal(() => new LedgerReader(folder.database))).toMatch(/no ledger.*\[store_unknown\]/)
})

test.each([
  [9_999, 'store_newer'],
  [1, 'store_older'],
])('a ledger of schema version %d is not read: %s', (version, code) => {
  void openSqliteStore(folder.database, { clock: systemClock, log: silent }).close()
  folder.sql(`PRAGMA user_version = ${version}`)
  expect(refusal(() => new LedgerReader(folder.database))).toContain(`[${code}]`)
})

test.each(['total foo', 'verify'])('piccolo %s says it in one line with its code and a hint', async line => {
  folder.sql('CREATE TABLE users (id)')
  const { exitCode, output } = await run(...line.split(' '), '--database', folder.database)
  expect(output).toMatch(/^piccolo \w+: .* has a table users \[store_unknown\]: point --database to .*\n$/)
  expect(exitCode).toBe(78)
})

test('up on the file of another program says so in one line of its own, and ends with 78', async () => {
  folder.sql('CREATE TABLE users (id)')
  const port = String(await freePort())
  const { exitCode, output } = await run('up', '--port', port, '--database', folder.database)
  expect(output).toMatch(/^piccolo consumer: .* \[store_unknown\]: .*$/m)
  expect(output).not.toMatch(/^ +at /m)
  expect(exitCode).toBe(78)
})

test.each(['up', 'consumer'])('%s makes no folder for a database but that of the default', async role => {
  const args = role === 'up' ? ['--port', String(await freePort())] : ['--redis', '/nowhere/redis.sock']
  const database = join(folder.path, 'mistyped', 'numbers.db')
  const { exitCode, output } = await run(role, ...args, '--database', database)
  expect(output).toMatch(/there is no folder .*mistyped.* \[store_unreadable\]/)
  expect(exitCode).toBe(78)
  expect(folder.files()).toEqual([])
})

test('refusals of the operating system have a code and a hint; a bug stays one', () => {
  const thrown = (() => {
    try {
      return readFileSync(folder.path)
    } catch (error) {
      return error
    }
  })()
  expect(classifySystemError(thrown)).toMatchObject({
    code: 'system_refused',
    message: expect.stringContaining('EISDIR'),
  })
  const bug = new TypeError('a bug')
  expect(classifySystemError(bug)).toBe(bug)
})

test.each(['json', 'pretty'] as const)(
  'an error of operation is one line of a %s log, without a stack',
  format => {
    const lines: string[] = []
    const output = Object.assign(new LogOutput(), { write: (line: string) => lines.push(line) })
    const log = createLog({ level: 'info', format, process: 'test', isTerminal: false }, output)
    log.error({ code: 'store_full', err: storeError('store_full', 'no room', new Error('disk')) }, 'refused')
    expect(lines[0]).toMatch(/no room: disk.*\n$/)
    expect(lines[0]!.split('\n')).toHaveLength(2)
    expect(lines[0]).not.toMatch(/messages\.test/)
    log.error({ err: new TypeError('a bug') }, 'a fault')
    expect(lines[1]).toMatch(/TypeError: a bug(.|\n)*messages\.test/)
  },
)

test.each([
  [['-h'], /^Piccolo Daimao .* counts/],
  [['help', 'total'], /^Usage: piccolo total KEY/],
  [['total', '-h'], /^Usage: piccolo total KEY/],
  [['-v'], /^\d+\.\d+\.\d+/],
  [['version'], /^\d+\.\d+\.\d+/],
])('%j is answered', async (args, expected) => {
  const { exitCode, output } = await run(...args)
  expect(output).toMatch(expected)
  expect(exitCode).toBe(0)
})

test.each([
  [['verfy'], 'did you mean verify?'],
  [['help', 'totla'], 'did you mean total?'],
  [['config', 'chek'], 'did you mean check?'],
  [['up', '--prt', '1'], 'did you mean --port?'],
  [['up', '--flush-intervall-ms', '5'], 'did you mean --flush-interval-ms?'],
  [['dance'], 'piccolo --help lists them'],
  [['--port', '1', 'up'], 'write piccolo COMMAND --option VALUE'],
])('%j is told what was meant', async (args, expected) => {
  const { exitCode, output } = await run(...args)
  expect(output).toContain(expected)
  expect(output.split('\n')).toHaveLength(2)
  expect(exitCode).toBe(64)
})

test.each([
  ['--flush-interval-ms 1000', /--flush-interval-ms 1000 must be below --staleness-max-ms 1000/],
  ['--port 4711 --consumer-port 4711', /--port and --consumer-port are both 4711/],
  ['--redis redis://127.0.0.1:3333', /--port 3333 is the port of --redis, too/],
  ['--host 192.0.2.1', /--host 192.0.2.1: this machine does not have that address/],
  ['--host 300.1.1.1', /--host 300.1.1.1: /],
  ['--database /proc/nothing/numbers.db', /\[store_unreadable\]/],
  ['--database /proc', /\[store_unknown\]/],
  ['--state-dir /proc/version', /--state-dir .* is no folder/],
])('what is wrong with %s is known before the start', async (line, expected) => {
  const { values } = parseOptions(allOptions, line.split(' '), {})
  expect(await optionProblems(values)).toEqual([expect.stringMatching(expected)])
})

test('config check finds no fault where the folder of the default database is not made yet', () => {
  const options = { cwd: folder.path, encoding: 'utf8' } as const
  const check = spawnSync(join(import.meta.dirname, '../../piccolo'), ['config', 'check'], options)
  expect(check.stderr + check.stdout).toBe('The configuration is valid.\n')
  expect(check.status).toBe(0)
  expect(folder.files()).toEqual([])
})

test.skipIf(process.getuid?.() === 0)(
  'a database that cannot be written is known before the start',
  async () => {
    folder.sql('CREATE TABLE numbers (key TEXT, value INTEGER DEFAULT 0)')
    for (const path of [folder.database, folder.path]) {
      chmodSync(path, 0o555)
      const { values } = parseOptions(allOptions, ['--database', folder.database], {})
      expect(await optionProblems(values)).toEqual([
        expect.stringMatching(/ cannot be written.*\[store_unreadable\]/),
      ])
      chmodSync(path, 0o755)
    }
  },
)

test.each([
  ['--port 70000', /^piccolo config: --port must be 1 to 65535, got 70000\n$/],
  ['--prt 1', /^piccolo config: unknown option --prt; did you mean --port\?\n$/],
  ['--port 3335 --flush-interval-ms 60000', /^piccolo config: --flush-.*\npiccolo config: --port and .*\n$/],
])('config check %s names all faults, and exits with 78', async (line, expected) => {
  const { exitCode, output } = await run('config', 'check', ...line.split(' '))
  expect(output).toMatch(expected)
  expect(exitCode).toBe(78)
})
