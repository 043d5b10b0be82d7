import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  checkoutToChange,
  cleanUp,
  configuration,
  install,
  scratchFolder,
  units,
} from '../install/installation.ts'
import { RedisServer } from '../kit/redis-server.ts'
import { freePort, isAlive } from '../kit/service.ts'

// Upgrades of a running service that stop on their way. systemd is a script here: it runs what the units say,
// and knows of a changed unit only after daemon-reload.

const systemctl = (state: string, unitFolder: string) => `#!/bin/sh
exec 8>&-
state=${state} loaded=${state}/loaded
file() { case $1 in piccolo-web@*) echo piccolo-web@.service ;; *) echo "$1" ;; esac; }
pid() { cat "$state/$1.pid" 2>/dev/null || echo 0; }
# Not what has ended, and nobody has asked how.
runs() { [ -n "$(readlink "/proc/$(pid "$1")/exe")" ]; }
setting() { cat "$loaded/$(file "$unit")" "$loaded/piccolo-.service.d/common.conf" | sed -n "s/^$1=//p"; }
start() {
  unit=$1
  { setting Environment | sed 's/^"\\(.*\\)"$/\\1/'; cat "$(setting EnvironmentFile)"; } >"$state/environment"
  while IFS= read -r line; do case $line in [A-Z]*=*) export "$line" ;; esac; done <"$state/environment"
  $(setting ExecStart) >>"$state/log" 2>&1 &
  echo $! >"$state/$1.pid"
}
stop() {
  kill "$(pid "$1")"
  while runs "$1"; do sleep 0.05; done
}
for unit; do :; done
case "$*" in
  daemon-reload) rm -rf "$loaded" && cp -R ${unitFolder} "$loaded" ;;
  *is-active*) runs "$unit" ;;
  *is-failed*) exit 1 ;;
  show*) pid "$unit" ;;
  'start piccolo.target') for each in $(ls "$loaded/piccolo.target.wants"); do runs "$each" || start "$each"; done ;;
  restart*) stop "$unit" && start "$unit" ;;
esac
`

let redis: RedisServer
let from: string
let root: string
let state: string
let ports: { web: number; consumer: number }

beforeEach(async () => {
  redis = await RedisServer.start()
  ports = { web: await freePort(), consumer: await freePort() }
  from = checkoutToChange()
  root = scratchFolder()
  state = scratchFolder()
  const settings = { HOST: '127.0.0.1', PORT: ports.web, CONSUMER_PORT: ports.consumer, REDIS: redis.url }
  const lines = Object.entries({ ...settings, DATABASE: `${state}/numbers.db` })
  fs.mkdirSync(path.dirname(path.join(root, configuration)), { recursive: true })
  fs.writeFileSync(
    path.join(root, configuration),
    lines.map(([name, value]) => `PICCOLO_${name}=${value}\n`).join(''),
  )
  script('systemd/systemctl', systemctl(state, path.join(root, units)))
  for (const real of [
    execFileSync('which', ['mv'], { encoding: 'utf8' }).trim(),
    `${state}/systemd/systemctl`,
  ])
    script(
      `bin/${path.basename(real)}`,
      `#!/bin/sh
       ${real} "$@"; status=$?
       case "${path.basename(real)} $*" in \${KILL_AFTER:-nothing}) kill -9 $PPID ;; esac
       exit $status\n`,
    )
  const main = path.join(from, 'install/main.sh')
  const text = fs.readFileSync(main, 'utf8')
  // Below a root of its own it would leave systemd alone.
  const changed = text
    .replace(/if \[ -n "\$root" \]; then\n +say "installed below \$root"\n +el/, '')
    .replace('[ -d /run/systemd/system ]', 'true')
  fs.writeFileSync(main, changed)
})

afterEach(async () => {
  for (const pid of Object.values(pids())) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
  await redis[Symbol.asyncDispose]()
  await cleanUp()
})

function script(name: string, text: string): void {
  fs.mkdirSync(path.dirname(path.join(state, name)), { recursive: true })
  fs.writeFileSync(path.join(state, name), text, { mode: 0o755 })
}

/** Returns process ids by unit. */
function pids(): Record<string, number> {
  const files = fs.readdirSync(state).filter(name => name.endsWith('.pid'))
  return Object.fromEntries(
    files.map(name => [name, Number(fs.readFileSync(path.join(state, name), 'utf8'))]),
  )
}

/** Runs install/main.sh, to its end or until it is killed after the first command like `killAfter`. */
function run({ killAfter = '', args = [] as string[] } = {}) {
  const environment = { PATH: `${state}/bin:${process.env.PATH}`, KILL_AFTER: killAfter }
  const { status, output } = install(root, { from, args: ['--web-processes', '1', ...args], environment })
  expect(status, output).toBe(killAfter === '' ? 0 : null)
  return output
}

/** Returns the versions that the processes report, and the installed one. */
async function versions() {
  const ofPort = async (port: number) => {
    // Whoever answered before may be gone.
    const headers = { connection: 'close' }
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).text()
    return /^piccolo_build_info\{.*version="([^"]+)".*\} 1$/m.exec(text)?.[1]
  }
  const installed = execFileSync(path.join(root, 'usr/local/bin/piccolo'), ['--version'], {
    encoding: 'utf8',
  }).trim()
  return { installed, web: await ofPort(ports.web), consumer: await ofPort(ports.consumer) }
}

/** Upgrades that stop on their way. */
const incomplete = [
  { killAfter: 'mv */piccolo-daimao.new */piccolo-daimao' },
  { killAfter: 'systemctl daemon-reload' },
  { killAfter: 'systemctl restart piccolo-consumer.service' },
  { args: ['--no-start'] },
]

test('wherever an upgrade stops, the next run finishes it: everything runs what is installed', async () => {
  run()
  let { installed } = await versions()
  for (const upgrade of incomplete) {
    const where = JSON.stringify(upgrade)
    fs.appendFileSync(path.join(from, 'lib/process/log.ts'), '// newer\n')
    run(upgrade)
    const before = pids()
    run()
    const now = await versions()
    expect(now, where).toEqual({ installed: now.installed, web: now.installed, consumer: now.installed })
    expect(now.installed, where).not.toBe(installed)
    // A process that runs it already is left alone.
    const isConsumerNew = where.includes('restart')
    expect(pids()['piccolo-consumer.service.pid'] === before['piccolo-consumer.service.pid']).toBe(
      isConsumerNew,
    )
    installed = now.installed
  }
  const before = pids()
  expect(run()).not.toContain('restarted')
  expect(pids()).toEqual(before)
}, 300_000)
