import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { afterEach, expect, test } from 'vitest'
import {
  checkout,
  checkoutToChange,
  cleanUp,
  code,
  configuration,
  filesBelow,
  install,
  installed,
  listing,
  members,
  scratchFolder,
  units,
} from './installation.ts'

afterEach(cleanUp)

test('every shell script passes shellcheck', () => {
  const scripts = filesBelow(checkout, ['.git', '.node', 'node_modules', 'data', '.vagrant']).filter(
    file => file.endsWith('.sh') || /^#!.*\b(sh|bash)\n/.test(fs.readFileSync(file, 'latin1').slice(0, 99)),
  )
  const names = scripts.map(file => path.relative(checkout, file))
  expect(names).toEqual(expect.arrayContaining(['install/main.sh', 'install/ubuntu.sh', 'piccolo']))
  const run = spawnSync('shellcheck', ['--external-sources', ...names], { cwd: checkout, encoding: 'utf8' })
  expect(run.stdout).toBe('')
  expect(run.status).toBe(0)
})

test('a second installation changes nothing', () => {
  const root = installed()
  const before = listing(root)
  expect(install(root)).toMatchObject({ status: 0 })
  expect(listing(root)).toEqual(before)
})

test('exactly the files that it takes to run are installed, and every user can read them', () => {
  const root = installed()
  const files = filesBelow(path.join(root, code))
  expect(files.filter(file => file.endsWith('.test.ts') && !file.includes('/node_modules/'))).toEqual([])
  expect(
    files.filter(file => !fs.lstatSync(file).isSymbolicLink() && !(fs.statSync(file).mode & 0o004)),
  ).toEqual([])
  expect(fs.existsSync(path.join(root, code, 'node_modules/ioredis'))).toBe(true)
  expect(fs.existsSync(path.join(root, code, 'node_modules/vitest'))).toBe(false)
})

test('an upgrade replaces the code and keeps the configuration', () => {
  const root = installed()
  const from = checkoutToChange()
  fs.appendFileSync(path.join(root, configuration), 'PICCOLO_FLUSH_INTERVAL_MS=50\n')
  const configured = fs.readFileSync(path.join(root, configuration), 'utf8')
  fs.appendFileSync(path.join(from, 'cli/main.ts'), '// newer\n')
  fs.writeFileSync(path.join(root, code, 'cli/left-over.ts'), '')
  const before = version(path.join(checkout, 'cli/main.ts'))
  expect(before).toMatch(/^\d+\.\d+\.\d+\+[0-9a-f]{12}$/)

  expect(install(root, { from })).toMatchObject({ status: 0 })
  const after = version(path.join(root, code, 'cli/main.ts'))
  expect(after).not.toBe(before)
  expect(after).toBe(version(path.join(from, 'cli/main.ts')))
  expect(fs.readFileSync(path.join(root, code, 'cli/main.ts'), 'utf8')).toMatch(/\/\/ newer\n$/)
  expect(fs.existsSync(path.join(root, code, 'cli/left-over.ts'))).toBe(false)
  expect(fs.readFileSync(path.join(root, configuration), 'utf8')).toBe(configured)
})

test('a version that does not run leaves the installed one as it is', () => {
  const root = installed()
  const before = listing(root)
  const from = checkoutToChange()
  fs.writeFileSync(path.join(from, 'cli/main.ts'), 'throw new Error("broken")\n')
  const run = install(root, { from })
  expect(run.output).toContain('broken')
  expect(run.status).toBe(70)
  expect(listing(root)).toEqual(before)
})

test('a configuration that this version does not know stops an upgrade', () => {
  const root = installed()
  fs.appendFileSync(path.join(root, configuration), 'PICCOLO_FLUSH_INTERVALL_MS=50\n')
  const before = listing(root)
  const run = install(root)
  expect(run.output).toContain('PICCOLO_FLUSH_INTERVALL_MS')
  expect(run.status).toBe(78)
  expect(listing(root)).toEqual(before)
})

test('an installation that was killed while it put the new version in place is fixed by the next', () => {
  const root = installed()
  const before = listing(root)
  fs.renameSync(path.join(root, code), path.join(root, `${code}.old`))
  fs.mkdirSync(path.join(root, `${code}.new`))
  expect(install(root)).toMatchObject({ status: 0 })
  expect(listing(root)).toEqual(before)
})

test('without a network, a package in another version than that of the lockfile is refused', () => {
  const from = checkoutToChange()
  const lockfile = path.join(from, 'package-lock.json')
  const lock = JSON.parse(fs.readFileSync(lockfile, 'utf8'))
  lock.packages['node_modules/ioredis'].version = '0.0.1'
  fs.writeFileSync(lockfile, JSON.stringify(lock))
  const run = install(scratchFolder(), { from })
  expect(run.output).toContain('node_modules/ioredis must have the version 0.0.1')
  expect(run.status).toBe(69)
})

test('the number of web processes and the consumer are chosen once and kept', () => {
  const root = installed(['--web-processes', '3', '--consumer=no'])
  const three = ['piccolo-web@1.service', 'piccolo-web@2.service', 'piccolo-web@3.service']
  expect(members(root)).toEqual(three)
  install(root)
  expect(members(root)).toEqual(three)
  install(root, { args: ['--web-processes', '1', '--consumer', 'yes'] })
  expect(members(root)).toEqual(['piccolo-consumer.service', 'piccolo-web@1.service'])
  for (const name of members(root))
    expect(fs.existsSync(path.join(root, units, 'piccolo.target.wants', name))).toBe(true)
})

test.each([
  [['--web-processes', '257'], '--web-processes must be 0 to 256, got 257'],
  [['--web-processes'], '--web-processes needs a value'],
  [['--consumer=maybe'], '--consumer must be yes or no, got maybe'],
  [['--root', 'relative'], '--root must be an absolute path'],
  [['--root', '/with space'], '--root must be a path of letters'],
  [['--frobnicate'], 'unknown argument --frobnicate'],
])('main.sh %j is bad usage', (args, message) => {
  const run = install(scratchFolder(), { args })
  expect(run.output).toContain(message)
  expect(run.status).toBe(64)
})

test('the command takes its defaults from the configuration, under the environment', () => {
  const root = scratchFolder()
  const command = path.join(root, 'piccolo')
  const file = (name: string, text: string, mode = 0o644) => {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true })
    fs.writeFileSync(path.join(root, name), text, { mode })
  }
  file(
    'piccolo',
    fs.readFileSync(path.join(checkout, 'install/command.sh'), 'utf8').replaceAll('@ROOT@', root),
    0o755,
  )
  file(`${code}/bin/node`, '#!/bin/sh\nenv | grep ^PICCOLO_ | sort\necho "$@"\n', 0o755)
  file(
    configuration,
    ['# PICCOLO_N=1', 'PICCOLO_A=0', 'PICCOLO_A=1', 'PICCOLO_B=2', 'PATH=/nowhere']
      .concat('PICCOLO_C="a b=$(id)"', "PICCOLO_D='", 'PICCOLO_E=')
      .join('\n'),
  )
  const output = execFileSync(command, ['total', 'foo bar'], {
    env: { PATH: process.env.PATH, PICCOLO_B: 'mine' },
    encoding: 'utf8',
  })
  expect(output.split('\n').slice(0, -2)).toEqual([
    'PICCOLO_A=1',
    'PICCOLO_B=mine',
    'PICCOLO_C=a b=$(id)',
    "PICCOLO_D='",
    'PICCOLO_E=',
    `PICCOLO_STATE_DIR=${root}/var/lib/piccolo-daimao`,
  ])
  expect(output).toContain(`${code}/cli/main.ts total foo bar\n`)
  fs.rmSync(path.join(root, configuration))
  const run = spawnSync(command, ['total', 'foo'], { encoding: 'utf8' })
  expect(run.stderr).toContain('cannot read')
  expect(run.status).toBe(78)
})

test('ubuntu.sh installs what is missing, and makes a new Redis write to disk', () => {
  const { status, calls } = ubuntu({ installed: 'ca-certificates curl', commands: ['node', 'npm'] })
  expect(status).toBe(0)
  expect(calls).toEqual([
    expect.stringMatching(/^apt-get .*update$/),
    expect.stringMatching(/^apt-get .*install -y --no-install-recommends sqlite3 redis-server$/),
    'redis-cli ping',
    'redis-cli config set appendonly yes',
    'redis-cli config rewrite',
    'redis-cli info persistence',
  ])
})

test('ubuntu.sh does nothing when nothing is missing, and needs no root for it', () => {
  const commands = ['node', 'npm', 'redis-server']
  const { status, calls } = ubuntu({ installed: 'ca-certificates curl sqlite3', commands, uid: 1000 })
  expect({ status, calls }).toEqual({ status: 0, calls: [] })
})

test('ubuntu.sh installs no Redis where there is to be none', () => {
  const args = ['--without-redis']
  const { calls } = ubuntu({ installed: 'ca-certificates curl sqlite3', commands: ['node'], args })
  expect(calls.at(-1)).toMatch(/install -y --no-install-recommends nodejs npm$/)
})

test.each([
  [{ uid: 1000 }, 64, 'must run as root'],
  [{ args: ['--frobnicate'] }, 64, 'unknown argument --frobnicate'],
  [{ aptFails: true }, 69, 'is there a network?'],
])('ubuntu.sh refuses %j with %i', (machine, status, message) => {
  const run = ubuntu(machine)
  expect(run.output).toContain(message)
  expect(run.status).toBe(status)
})

/** Returns the version that the code of an installation or a checkout reports. */
function version(program: string): string {
  return execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', program, '--version'], {
    encoding: 'utf8',
  }).trim()
}

/** Runs install/ubuntu.sh on a machine made up of fakes. */
function ubuntu({
  installed = '',
  commands = [] as string[],
  uid = 0,
  aptFails = false,
  args = [] as string[],
}) {
  const bin = scratchFolder()
  const log = path.join(bin, 'calls')
  const fake = (name: string, text: string) =>
    fs.writeFileSync(path.join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  for (const tool of ['cat', 'grep', 'sed', 'sleep', 'sh'])
    fs.symlinkSync(execFileSync('which', [tool], { encoding: 'utf8' }).trim(), path.join(bin, tool))
  for (const name of commands) fake(name, '')
  fake('id', `echo ${uid}`)
  fake('apt-get', `echo "apt-get $*" >>${log}; exit ${aptFails ? 100 : 0}`)
  fake(
    'dpkg-query',
    `for package; do :; done; case " ${installed} " in *" $package "*) printf installed ;; esac`,
  )
  fake(
    'redis-cli',
    `echo "redis-cli $*" >>${log}
     case $1 in ping) echo PONG ;; info) echo aof_rewrite_in_progress:0 ;; esac`,
  )
  const script = path.join(checkout, 'install/ubuntu.sh')
  const run = spawnSync('/bin/sh', [script, ...args], { env: { PATH: bin }, encoding: 'utf8' })
  const calls = fs.existsSync(log) ? fs.readFileSync(log, 'utf8').trim().split('\n') : []
  return { status: run.status, output: run.stdout + run.stderr, calls }
}
