import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

// install/main.sh into scratch folders, without a network, and what it has installed there.

export const checkout = path.join(import.meta.dirname, '../..')
export const code = 'usr/local/piccolo-daimao'
export const units = 'etc/systemd/system'
export const configuration = 'etc/piccolo-daimao/piccolo.env'

const checkoutParts =
  'apps batch cli consumer install intake lib queue store vegeta package.json package-lock.json piccolo'.split(
    ' ',
  )

const undo: (() => unknown)[] = []

/** Ends what was started and removes what was made: to be called after each test. */
export async function cleanUp(): Promise<void> {
  for (const step of undo.splice(0).reverse()) await step()
}

/** Runs install/main.sh of the checkout `from`, without a network. */
export function install(root: string, { args = [] as string[], from = checkout, environment = {} } = {}) {
  const { PATH, HOME } = process.env
  const run = spawnSync(path.join(from, 'install/main.sh'), ['--offline', '--root', root, ...args], {
    env: { PATH, HOME, PICCOLO_NODE: process.execPath, ...environment },
    encoding: 'utf8',
  })
  return { status: run.status, output: run.stdout + run.stderr }
}

/** A new folder with the service installed in it. */
export function installed(args: string[] = []): string {
  const root = scratchFolder()
  const { status, output } = install(root, { args })
  if (status !== 0) throw new Error(`install/main.sh ended with ${status}:\n${output}`)
  return root
}

/** A checkout of its own to change, with what is installed, and with the packages of this one. */
export function checkoutToChange(): string {
  const copy = scratchFolder()
  for (const part of checkoutParts)
    fs.cpSync(path.join(checkout, part), path.join(copy, part), { recursive: true })
  fs.symlinkSync(path.join(checkout, 'node_modules'), path.join(copy, 'node_modules'))
  return copy
}

export function members(root: string): string[] {
  return fs.readdirSync(path.join(root, units, 'piccolo.target.wants')).sort()
}

export function scratchFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'piccolo-install-'))
  undo.push(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Every file below `root` with its mode, the time of its last change, and its content. */
export function listing(root: string): string[] {
  return filesBelow(root).map(file => {
    const { mode, mtimeMs } = fs.lstatSync(file)
    const content = fs.lstatSync(file).isSymbolicLink()
      ? fs.readlinkSync(file)
      : createHash('sha256').update(fs.readFileSync(file)).digest('hex')
    return [path.relative(root, file), mode.toString(8), mtimeMs, content].join(' ')
  })
}

export function filesBelow(folder: string, passedOver: readonly string[] = []): string[] {
  const entries = fs
    .readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !passedOver.includes(name))
  return entries
    .flatMap(entry => {
      const file = path.join(folder, entry.name)
      return entry.isDirectory() ? filesBelow(file, passedOver) : [file]
    })
    .sort()
}

/** The settings of a role's unit and of what all units have in common, each with its values in order. */
export function readUnit(root: string, role: string): Map<string, string[]> {
  const name = role === 'web' ? 'piccolo-web@.service' : `piccolo-${role}.service`
  const unit = new Map<string, string[]>()
  for (const file of [name, 'piccolo-.service.d/common.conf'])
    for (const line of fs.readFileSync(path.join(root, units, file), 'utf8').split('\n')) {
      const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? []
      if (key !== undefined) unit.set(key, [...(unit.get(key) ?? []), value!])
    }
  return unit
}

/** Returns what systemd would run for a unit: program, arguments, folder and environment. */
export function unitProcess(root: string, role: string) {
  const unit = readUnit(root, role)
  const [program, ...args] = unit.get('ExecStart')![0]!.split(' ')
  const files = unit.get('EnvironmentFile')!.map(file => fs.readFileSync(file, 'utf8').split('\n'))
  const set = [...unit.get('Environment')!.map(text => text.replace(/^"(.*)"$/, '$1')), ...files.flat()]
  const pairs = set.map(text => /^([A-Z_]+)=(.*)$/.exec(text)?.slice(1)).filter(pair => pair !== undefined)
  return { program: program!, args, cwd: unit.get('WorkingDirectory')![0]!, env: Object.fromEntries(pairs) }
}

/** Starts what the unit would, and kills it after the test if it was not stopped. */
export function startUnit(root: string, role: string) {
  const { program, args, cwd, env } = unitProcess(root, role)
  const child = spawn(program, args, { cwd, env })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (output += chunk))
  const ended = new Promise<number | null>(resolve => child.once('exit', resolve))
  const stop = (signal: NodeJS.Signals) => {
    child.kill(signal)
    return ended
  }
  undo.push(() => stop('SIGKILL'))
  return { stop: () => stop('SIGTERM'), output: () => output }
}
