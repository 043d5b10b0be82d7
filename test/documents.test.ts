import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { RedisServer } from './kit/redis-server.ts'
import { Folder, freePort, Program, Service } from './kit/service.ts'

const root = join(import.meta.dirname, '..')
const hasVegeta = spawnSync('vegeta', ['-version']).status === 0

/** The text between two fences of a document. */
interface Block {
  /** `README.md:14`, to find it by. */
  readonly place: string
  readonly text: string
}

/** A rule for a block that begins like this: it is run, or there is a reason why not. */
interface Rule {
  readonly begins: string
  readonly run?: (block: Block) => Promise<void>
  readonly reason?: string
  readonly isSkipped?: boolean
}

const documents: Readonly<Record<string, readonly Rule[]>> = {
  'README.md': [
    { begins: 'npm start', reason: 'launcher.test.ts has the first command; the second one runs this test' },
    {
      begins: 'curl -d',
      run: block => prints(block, '{"accepted":1,"ack":"memory"}{"accepted":1,"ack":"committed"}3\n'),
    },
    { begins: "curl -H 'Content-Type", run: block => prints(block, '{"accepted":2,"ack":"memory"}') },
    { begins: 'const stream', run: runsInNode },
    { begins: '                     web process', reason: 'a drawing' },
    { begins: '  --port PORT', reason: 'tidy.test.ts compares it with the help of the program' },
    { begins: './piccolo up --redis', run: startsServices },
    { begins: 'echo "POST', run: attacks, isSkipped: !hasVegeta },
    { begins: './piccolo targets', run: attacks, isSkipped: !hasVegeta },
    { begins: 'npm run bench', reason: 'it takes an hour' },
    {
      begins: 'sudo install',
      reason: 'it changes the machine; install.test.ts does it in folders of its own',
    },
    {
      begins: 'vagrant up',
      reason: 'it needs a virtual machine; vagrant.test.ts has what can be tested without',
    },
  ],
  'docs/http-api.md': [
    { begins: '{"accepted":1,"ack":"memory"}', run: block => isAnswerTo(block, 'key=foo&value=1', {}) },
    {
      begins: '{"accepted":1,"ack":"committed"',
      run: block => isAnswerTo(block, 'key=foo&value=1', { 'Idempotency-Key': '"1"' }),
    },
    { begins: 'const stream', run: runsInNode },
    {
      begins: '{\n  "type"',
      run: block =>
        isAnswerTo(block, '{"key":"foo","value":1}\n{"key":"foo"}', {
          'Content-Type': 'application/x-ndjson',
        }),
    },
  ],
}

let folder: Folder
let service: Service
beforeAll(async () => {
  folder = new Folder()
  service = await Service.start(folder)
})
afterAll(async () => {
  await service[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

describe.each(Object.entries(documents))('the blocks of %s', (document, rules) => {
  const blocks = blocksOf(document)

  test('are all accounted for, in their order', () => {
    expect(rules).toHaveLength(blocks.length)
    for (const [index, { begins, run, reason }] of rules.entries()) {
      expect(blocks[index]!.text.slice(0, begins.length)).toBe(begins)
      expect((run === undefined) !== (reason === undefined), begins).toBe(true)
    }
  })

  for (const [index, { begins, run, isSkipped }] of rules.entries())
    if (run !== undefined)
      test.skipIf(isSkipped)(`can be pasted: ${begins}`, () => run(blocks[index]!), 60_000)
})

function blocksOf(document: string): Block[] {
  const text = readFileSync(join(root, document), 'utf8')
  return [...text.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(match => ({
    place: `${document}:${text.slice(0, match.index).split('\n').length}`,
    text: match[1]!,
  }))
}

/** A text with the places of this test's own service instead of those that the documents name. */
function own(text: string): string {
  return text
    .replaceAll('localhost:3333', `127.0.0.1:${service.port}`)
    .replaceAll('data/numbers.db', folder.database)
    .replaceAll('vegeta/targets', join(folder.path, 'targets'))
}

function paste(text: string): string {
  const environment = { ...process.env, PICCOLO_DATABASE: folder.database, PICCOLO_NODE: process.execPath }
  const run = spawnSync('sh', ['-e', '-c', text], {
    cwd: root,
    encoding: 'utf8',
    env: environment,
    timeout: 50_000,
  })
  expect(run.status, `${text}\n${run.stdout}${run.stderr}`).toBe(0)
  return run.stdout
}

async function prints({ text }: Block, output: string): Promise<void> {
  expect(paste(own(text))).toBe(output)
}

async function runsInNode({ text }: Block): Promise<void> {
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', own(text)]
  const run = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 })
  expect(run).toMatchObject({ status: 0, stdout: '{"message":1,"accepted":1,"ack":"committed"}\n' })
}

async function isAnswerTo({ text }: Block, body: string, headers: Record<string, string>): Promise<void> {
  const type = { 'Content-Type': 'application/x-www-form-urlencoded' }
  const answer = await fetch(`${service.url}/increment`, {
    method: 'POST',
    body,
    headers: { ...type, ...headers },
  })
  expect(await answer.json()).toEqual(JSON.parse(text))
}

/** Runs the block with a shorter attack. */
async function attacks({ text }: Block): Promise<void> {
  const shorter = own(text)
    .replaceAll('-duration 20s', '-duration 2s')
    .replaceAll('-rate 9000', '-rate 1000')
    .replace('targets 9000', 'targets 300')
    .replaceAll(/^\.\/piccolo (targets|check-sums) .*/gm, line => `${line} --folder ${own('vegeta/targets')}`)
  const output = paste(shorter)
  expect(output).toMatch(/Success +\[ratio\] +100\.00%/)
}

/** Each line is a service: it is started beside those before it that it can live with, and becomes ready. */
async function startsServices({ text }: Block): Promise<void> {
  const port = await freePort()
  const redis = await RedisServer.start('--bind', '127.0.0.1', '--port', String(port))
  const ownFolder = new Folder()
  const environment = {
    PICCOLO_DATABASE: ownFolder.database,
    PICCOLO_PORT: String(await freePort()),
    PICCOLO_CONSUMER_PORT: String(await freePort()),
  }
  const programs: Program[] = []
  onTestFinished(async () => {
    for (const program of programs) await program[Symbol.asyncDispose]()
    await redis[Symbol.asyncDispose]()
    ownFolder[Symbol.dispose]()
  })
  for (const line of text.split('\n').filter(each => each !== '')) {
    const [command, ...args] = line.replace(/#.*/, '').trim().split(/\s+/)
    expect(command).toBe('./piccolo')
    const own = args.map(arg =>
      arg.replace(/^redis:.*/, `redis://127.0.0.1:${port}`).replace('0.0.0.0', '127.0.0.1'),
    )
    const program = new Program(own, environment)
    programs.push(program)
    await program.says(own[0] === 'up' ? /"msg":"ready"/ : /"msg":"started"/)
    if (own[0] === 'up') expect(await program.stop()).toBe(0)
  }
}
