import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../../test/kit/condition.ts'

let folder: string
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'piccolo-log-'))
})
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

const lineCount = 3_000
/** A pipe takes such a line in parts; all of them are more than any buffer of the kernel holds. */
const longText = 'x'.repeat(5_000)

/**
 * Logs lines, tells on standard error how many were dropped, and logs three more for each line of its
 * input.
 */
const program = (format: string) => `
  import { createLog } from '${path.join(import.meta.dirname, 'log.ts')}'
  import { LogOutput } from '${path.join(import.meta.dirname, 'log-output.ts')}'
  const output = new LogOutput()
  const log = createLog({ level: 'info', format: '${format}', process: 'x', isTerminal: false }, output)
  const write = (count, text) => { for (let index = 0; index < count; index++) log.info({ text }, 'line') }
  write(${lineCount}, '${longText}')
  console.error(output.linesDropped)
  process.stdin.on('data', () => write(3, 'short'))`

/** Ends with its input. */
function start(stdout: 'pipe' | number, { format = 'json', fileBlocksMax = 'unlimited' } = {}): ChildProcess {
  const shell = `ulimit -f ${fileBlocksMax}; exec "$@"`
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', program(format)]
  return spawn('sh', ['-c', shell, 'sh', process.execPath, ...args], { stdio: ['pipe', stdout, 'pipe'] })
}

/** Lines that a child had to drop that ran to its end in order. */
async function dropped(child: ChildProcess): Promise<number> {
  const ended = new Promise(resolve => child.once('exit', resolve))
  child.stdin!.end()
  const said = await text(child.stderr!)
  expect(await ended, said).toBe(0)
  expect(said).toMatch(/^\d+\n$/)
  return Number(said)
}

/** A pipe whose reader reads when it is asked to. */
function openPipe() {
  const file = path.join(folder, 'pipe')
  execFileSync('mkfifo', [file])
  const reader = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
  return { reader, writer: fs.openSync(file, 'w') }
}

/** Reads what is in the pipe now. */
function drain(reader: number): string {
  const chunk = Buffer.alloc(1024 * 1024)
  try {
    return chunk.toString('utf8', 0, fs.readSync(reader, chunk))
  } catch {
    return ''
  }
}

test.each(['json', 'pretty'])('a line that cannot be written is dropped and counted (%s)', async format => {
  expect(await dropped(start(fs.openSync('/dev/full', 'w'), { format }))).toBe(lineCount)

  const { reader, writer } = openPipe()
  const withFullPipe = await dropped(start(writer, { format }))
  expect(withFullPipe).toBeGreaterThan(lineCount / 2)
  expect(withFullPipe).toBeLessThan(lineCount)
  drain(reader)
  fs.closeSync(reader)
  expect(await dropped(start(writer, { format }))).toBe(lineCount)

  const withFullSocket = await dropped(start('pipe', { format }))
  expect(withFullSocket).toBeGreaterThan(lineCount / 2)
  expect(withFullSocket).toBeLessThan(lineCount)
})

test('a file at the limit for its size holds whole lines, and a part of one', async () => {
  const file = path.join(folder, 'log')
  const child = start(fs.openSync(file, 'a'), { fileBlocksMax: '100' })
  expect(await dropped(child)).toBeGreaterThan(lineCount / 2)
  const lines = fs.readFileSync(file, 'utf8').split('\n')
  for (const line of lines.slice(0, -1)) expect(JSON.parse(line)).toMatchObject({ text: longText })
})

test('it logs again when the pipe is read, and no line has another inside', async () => {
  const { reader, writer } = openPipe()
  const child = start(writer)
  fs.closeSync(writer)
  await new Promise(resolve => child.stderr!.once('data', resolve))
  let logged = drain(reader)
  child.stdin!.write('\n')
  await until('the short lines have come', () => {
    logged += drain(reader)
    return logged.split('"text":"short"').length === 4
  })
  const texts = logged
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line).text)
  expect(texts.slice(-3)).toEqual(['short', 'short', 'short'])
  expect(new Set(texts.slice(0, -3))).toEqual(new Set([longText]))
  child.stdin!.end()
})
