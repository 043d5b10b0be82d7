import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { leaveNothingBehind } from '../kit/leave-nothing-behind.ts'
import { type Mutant, mutants } from './list.ts'

/**
 * `npm run mutants [-- WORD]`: puts each fault of the list, or each with the word in its name, into a copy of
 * the project and runs its tests there. Exits with 1 if one survives: what it breaks is not proven then.
 */
const usage = 'usage: npm run mutants [-- WORD]'
const root = fileURLToPath(new URL('../..', import.meta.url))
/** Time for all tests that the faults name, without any fault. */
const timeoutMsMax = 1_200_000
const [word = ''] = process.argv.slice(2)
if (word === '--help') {
  console.log(usage)
  process.exit(0)
}
const chosen = mutants.filter(({ name }) => name.includes(word))
if (chosen.length === 0) {
  console.error(`no fault has ${JSON.stringify(word)} in its name; there are:`)
  for (const { name } of mutants) console.error(`  ${name}`)
  process.exit(64)
}
const survivors: string[] = []
leaveNothingBehind()
const copy = mkdtempSync(join(tmpdir(), 'piccolo-mutants-'))
copyProject()
const tests = [...new Set(chosen.flatMap(mutant => mutant.tests))]
const startedMs = performance.now()
if (!(await passes(tests, timeoutMsMax))) throw new Error(`without any fault, these fail: ${tests.join(' ')}`)
// Longer than these took by themselves, however slow the machine is: only then has one of them got stuck.
const timeoutMs = 2 * (performance.now() - startedMs) + 60_000
for (const [index, mutant] of chosen.entries()) {
  const isCaught = await caught(mutant, timeoutMs)
  console.log(`${index + 1}/${chosen.length} ${isCaught ? 'caught  ' : 'SURVIVED'} ${mutant.name}`)
  if (!isCaught) survivors.push(mutant.name)
}
console.log(`${chosen.length - survivors.length} of ${chosen.length} faults caught`)
process.exit(survivors.length === 0 && chosen.length > 0 ? 0 : 1)

/** Copies the files that git knows, and those that it would add. */
function copyProject(): void {
  for (const file of execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  })
    .trim()
    .split('\n')) {
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    cpSync(join(root, file), join(copy, file))
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
}

async function caught(mutant: Mutant, timeoutMs: number): Promise<boolean> {
  const { name, file, find, replace, tests } = mutant
  const path = join(copy, file)
  const text = readFileSync(path, 'utf8')
  if (text.split(find).length !== 2) throw new Error(`${name}: ${file} has not exactly one ${find}`)
  writeFileSync(
    path,
    text.replace(find, () => replace),
  )
  try {
    return !(await passes(tests, timeoutMs))
  } finally {
    writeFileSync(path, text)
  }
}

/** A test that never ends has not passed. */
function passes(tests: readonly string[], timeoutMs: number): Promise<boolean> {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  const child = spawn(process.execPath, [vitest, 'run', '--bail', '1', ...tests], {
    cwd: copy,
    stdio: 'ignore',
    detached: true,
  })
  const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), timeoutMs)
  return new Promise(resolve => {
    child.once('exit', code => {
      clearTimeout(timer)
      resolve(code === 0)
    })
  })
}
