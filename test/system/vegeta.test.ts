import { execFile, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, type TestContext, test } from 'vitest'
import { checkSumsCommand } from '../../cli/commands/check-sums.ts'
import type { Command, CommandContext } from '../../cli/command.ts'
import { targetsCommand } from '../../cli/commands/targets.ts'
import { systemClock } from '../../lib/clock.ts'
import { parseOptions } from '../../lib/config/options.ts'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import { Folder, Service } from '../kit/service.ts'

const repository = join(import.meta.dirname, '../..')
const hasVegeta = spawnSync('vegeta', ['-version']).status === 0

let folder: Folder
let targets: string
beforeEach(() => {
  folder = new Folder()
  targets = join(folder.path, "it's a folder")
})
afterEach(() => folder[Symbol.dispose]())

/** Runs a command in this process: its exit code, and what it printed. */
async function run(command: Command, ...args: string[]) {
  const lines: string[] = []
  const context: CommandContext = {
    environment: {},
    print: line => lines.push(line),
    isTerminal: true,
    allOptions: async () => command.options,
  }
  const exitCode = await command.run(parseOptions(command.options, args, {}), context)
  return { exitCode, output: lines.join('\n') }
}
const makeTargets = (...args: string[]) => run(targetsCommand, ...args, '--folder', targets)
const checkSums = (...args: string[]) =>
  run(checkSumsCommand, ...args, '--folder', targets, '--database', folder.database)

/** Pastes into a shell, in a folder where nothing is. */
async function paste(line: string): Promise<string> {
  const { stdout } = await promisify(execFile)('sh', ['-c', line], { cwd: folder.path, timeout: 20_000 })
  return stdout
}
function needVegeta({ skip }: TestContext): void {
  if (!hasVegeta) skip('vegeta is not on the PATH')
}

test('random targets count exactly in both formats, by the commands that are printed', async context => {
  needVegeta(context)
  await using service = await Service.start(folder)
  const { output } = await makeTargets('300', `127.0.0.1:${service.port}`, '--keys', '120', '--seed', '5')
  const commands = output.split('\n').filter(line => line.startsWith('  vegeta'))
  const [json, http, show, report] = commands.map(line => line.replace('-duration 10s', '-duration 2750ms'))
  expect(json).toMatch(/-format json .*-rate 300/)
  expect(http).toMatch(/-format http .*-rate 300/)
  const reportFile = join(targets, 'report.json')

  await paste(json!)
  expect(await paste(show!)).toMatch(/Success +\[ratio\] +100\.00%/)
  await paste(report!)
  const { requests } = JSON.parse(readFileSync(reportFile, 'utf8'))
  // More than a pass, so that the wrap is tested, and not a whole number of passes. It has twice the time for
  // that, as vegeta sends less when the machine stalls.
  expect(requests).toBeGreaterThan(300)
  expect(await checkSums('--report', reportFile)).toEqual({
    exitCode: 0,
    output: `120 keys equal after ${requests} requests`,
  })

  await paste(http!)
  await paste(report!)
  const { requests: more } = JSON.parse(readFileSync(reportFile, 'utf8'))
  const both = await checkSums('--requests', `${requests},${more}`)
  expect(both).toEqual({ exitCode: 0, output: `120 keys equal after ${requests + more} requests` })

  const missing = await checkSums('--requests', `${requests},${more + 1}`, '--wait-ms', '0')
  expect(missing.exitCode).toBe(1)
  expect(missing.output).toMatch(/^".*": expected -?\d+, is -?\d+\n1 of 120 keys differ/)
})

test('the fixed body counts as often as it was sent', async context => {
  needVegeta(context)
  await using service = await Service.start(folder)
  const body = join(repository, 'vegeta', 'testbody')
  expect(readFileSync(body, 'utf8')).toBe('key=test1&value=1')
  const report = await paste(
    `echo "POST ${service.url}/increment" |
      vegeta attack -body ${body} -header "Content-Type: application/x-www-form-urlencoded" \\
        -rate 500 -duration 1s |
      vegeta report -type json`,
  )
  const { requests, status_codes } = JSON.parse(report)
  expect(status_codes).toEqual({ 200: requests })
  await service.hasTotals(new Map([['test1', String(requests)]]))
})

test('check-sums waits for totals that are still under way, and counts every pass', async () => {
  await using service = await Service.start(folder)
  await makeTargets('20', 'localhost')
  const bodies = readFileSync(join(targets, 'targets.jsonl'), 'utf8').trim().split('\n')
  const send = async () => {
    for (const line of bodies) {
      const body = Buffer.from(JSON.parse(line).body, 'base64')
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      const response = await fetch(`${service.url}/increment`, { method: 'POST', headers, body })
      expect(await response.json()).toEqual({ accepted: 1, ack: 'memory' })
    }
  }
  const checking = checkSums('--passes', '2', '--wait-ms', '20000')
  await send()
  await send()
  expect(await checking).toEqual({ exitCode: 0, output: '20 keys equal after 40 requests' })
})

test('check-sums shows the first differences and how many there are', async () => {
  openSqliteStore(folder.database, { clock: systemClock, log: pino({ level: 'silent' }) }).close()
  await makeTargets('30', 'localhost', '--seed', '1')
  const { exitCode, output } = await checkSums('--passes', '1', '--wait-ms', '0')
  expect(exitCode).toBe(1)
  expect(output.split('\n').filter(line => /^".*": expected -?\d+, is 0$/.test(line))).toHaveLength(10)
  expect(output).toMatch(/^…\n30 of 30 keys differ after 30 requests\nIs it another database/m)
})

test('piccolo targets writes what it says, for the seed that it says', async () => {
  const first = await makeTargets('3', 'localhost')
  const seed = / seed (\d+)/.exec(first.output)![1]!
  expect(first.output).toContain('3 targets with 3 keys for http://localhost:3333/increment')
  const sums = readFileSync(join(targets, 'sums.tsv'), 'utf8')
  await makeTargets('3', 'localhost')
  expect(readFileSync(join(targets, 'sums.tsv'), 'utf8')).not.toBe(sums)
  await makeTargets('3', 'localhost', '--seed', seed)
  expect(readFileSync(join(targets, 'sums.tsv'), 'utf8')).toBe(sums)
})

test('too many targets for a file each get the JSON format only, and a word on the way', async () => {
  const { output } = await makeTargets('100001', 'localhost', '--keys', '1')
  expect(output).toMatch(/^100000 of 100001 targets$/m)
  expect(output).toContain('-format json')
  expect(output).not.toContain('-format http')
})

test.each([
  [[], 'needs a count and a host: piccolo targets 9000 localhost:3333'],
  [['9000'], 'needs a count and a host'],
  [['many', 'localhost'], 'COUNT must be 1 to 1000000, got many'],
  [['0', 'localhost'], 'COUNT must be 1 to 1000000, got 0'],
  [['1000001', 'localhost'], 'COUNT must be 1 to 1000000, got 1000001'],
  [['1.5', 'localhost'], 'COUNT must be 1 to 1000000, got 1.5'],
  [['9', 'http://localhost/x'], 'HOST must be host, host:port or http://host:port, got http://localhost/x'],
  [['9', 'localhost', '--keys', '10'], '--keys must be at most COUNT, which is 9, got 10'],
  [['9', 'localhost', '--seed', 'x'], '--seed must be 0 to 4294967295, got x'],
  [['9224', 'localhost', '--value-max', '999999999999999'], '--value-max must be at most 999931920734472'],
])('piccolo targets %j is refused', async (args, message) => {
  await expect(makeTargets(...args)).rejects.toThrow(message)
})

test.each([
  [[], 'say what vegeta sent by one of --report FILE, --requests COUNT and --passes COUNT'],
  [['--passes', '1', '--requests', '9'], 'say what vegeta sent by one of'],
  [['--passes', '0'], '--passes must be 1 to 1000000, got 0'],
  [
    ['--requests', '9,'],
    '--requests must be a number of requests, or several with commas between them, got 9,',
  ],
  [['--report', ','], '--report must be a file, or several'],
  [['--report', '/nowhere/report.json'], 'cannot read /nowhere/report.json as a report of vegeta'],
  [['--passes', '1'], 'has no complete targets; piccolo targets makes them'],
])('piccolo check-sums %j is refused', async (args, message) => {
  await expect(checkSums(...args)).rejects.toThrow(message)
})

test('check-sums is refused where there is no database, and where requests failed', async () => {
  await makeTargets('3', 'localhost')
  await expect(checkSums('--passes', '1')).rejects.toThrow('there is no database at')
  const report = join(folder.path, 'report.json')
  writeFileSync(report, '{"requests":9,"status_codes":{"200":8,"503":1}}')
  await expect(checkSums('--report', report)).rejects.toThrow('1 of 9 requests')
})
