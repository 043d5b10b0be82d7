import { execFileSync } from 'node:child_process'
import { EventEmitter } from 'node:events'
import Sqlite from 'better-sqlite3'
import { beforeAll, expect, test } from 'vitest'
import { Siblings } from '../../apps/web/siblings.ts'
import { Channel } from '../../lib/process/channel.ts'
import { errorCounts } from '../../lib/process/error-counts.ts'
import { createLog, RepeatedError } from '../../lib/process/log.ts'
import { LogOutput } from '../../lib/process/log-output.ts'
import { newsBelievedMs } from '../../lib/process/readiness-news.ts'
import type { ProcessReadiness } from '../../lib/process/status-server.ts'
import { storeError } from '../../store/errors.ts'
import { until } from '../kit/condition.ts'
import { ManualClock } from '../kit/manual-clock.ts'
import { TestBed } from '../kit/test-bed.ts'

// Which of several web processes answers is up to the kernel, so each answers for all.

const asked = 12
const bed = new TestBed('all tests')
beforeAll(() => bed.start('--web-processes', '2'))

interface Answer {
  ready: boolean
  reasons: string[]
}

/** Returns the answers of whichever processes take a dozen new connections. */
async function answers(): Promise<Answer[]> {
  const requests = Array.from({ length: asked }, async () => {
    const options = { headers: { connection: 'close' }, signal: AbortSignal.timeout(500) }
    const response = await fetch(`${bed.service.url}/readyz`, options).catch(() => null)
    return response === null ? [] : [(await response.json()) as Answer]
  })
  return (await Promise.all(requests)).flat()
}

async function allSay(reason: string): Promise<void> {
  await until(`each answer says ${reason}`, async () => {
    const all = await answers()
    return all.length > 0 && all.every(({ ready, reasons }) => !ready && reasons.includes(reason))
  })
}

async function allAreReady(): Promise<void> {
  await until('all are ready', async () => {
    const all = await answers()
    return all.length === asked && all.every(({ ready }) => ready)
  })
}

async function metrics(): Promise<string> {
  return (await fetch(`${bed.service.url}/metrics`)).text()
}

test('a problem of the store is named by each process', async () => {
  const other = new Sqlite(bed.folder.database)
  other.exec('BEGIN IMMEDIATE')
  expect(await bed.service.increment('foo', 1)).toBe(200)
  await allSay('batches cannot be committed: store_busy')
  other.close()
  await allAreReady()
  expect(await metrics()).toMatch(
    /^piccolo_errors_total\{(code="store_busy",?|process="consumer",?){2}\} [1-9]/m,
  )
})

test('metrics say how many processes have none in them, as they are busy', async () => {
  const pid = bed.service.children().get('piccolo consumer')!
  const silent = /^piccolo_processes_silent\{process="up"\} (\d)/m
  process.kill(pid, 'SIGSTOP')
  try {
    const text = await metrics()
    expect([silent.exec(text)?.[1], text.includes('process="consumer"')]).toEqual(['1', false])
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await until('it answers again', async () => {
    const text = await metrics()
    return silent.exec(text)?.[1] === '0' && text.includes('process="consumer"')
  })
})

test('a problem of one web process is named by the others', async () => {
  const pid = bed.service.children().get('piccolo web 2')!
  const limit = (text: string) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${text}`])
  limit('8:')
  await until('one names the other', async () =>
    (await answers()).some(({ reasons }) => reasons.some(reason => reason.startsWith('web 2: '))),
  )
  limit('1000:')
  await until('all are ready', async () => (await answers()).every(({ ready }) => ready))
})

test('a web process that hangs is named by the others', async () => {
  const pid = bed.service.children().get('piccolo web 2')!
  process.kill(pid, 'SIGSTOP')
  await until('the other names it', async () =>
    (await answers()).some(({ reasons }) =>
      reasons.some(reason => reason.startsWith('web 2 has not answered')),
    ),
  )
  process.kill(pid, 'SIGCONT')
  await allAreReady()
})

test.each(['consumer', 'web 2'])('a %s that keeps ending is named at once, and counted', async name => {
  const isNamed = (answer: Answer) => answer.reasons.includes(`${name} does not run: process_ended`)
  await until('each answer names it', async () => {
    const pid = bed.service.children().get(`piccolo ${name}`)
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    const all = await answers()
    return all.length > 0 && all.every(isNamed)
  })
  expect(bed.service.output).not.toContain(`${name} has not answered`)
  await allAreReady()
  expect(await metrics()).toMatch(
    /^piccolo_errors_total\{(code="process_ended",?|process="up",?){2}\} [1-9]/m,
  )
})

test('a process that is restarted in order fails no answer', async () => {
  const before = bed.service.children()
  process.kill(before.get('piccolo consumer')!, 'SIGTERM')
  await until('it is another one', async () => {
    for (const { reasons } of await answers()) expect(reasons).toEqual([])
    const pid = bed.service.children().get('piccolo consumer')
    return pid !== undefined && pid !== before.get('piccolo consumer')
  })
  await allAreReady()
})

test('errors are counted by code, and each process tells when it started', async () => {
  const response = await fetch(`${bed.service.url}/increment`, { method: 'POST', body: 'value=5' })
  expect(response.status).toBe(415)
  const text = await metrics()
  expect(text).toMatch(/^piccolo_errors_total\{(code="content_type_unknown",?|process="web \d",?){2}\} 1$/m)
  const starts = [...text.matchAll(/^process_start_time_seconds\{process="([^"]+)"\} (.*)$/gm)]
  expect(starts.map(([, process]) => process).sort()).toEqual(['consumer', 'up', 'web 1', 'web 2'])
  for (const [, , seconds] of starts) expect(Math.abs(Date.now() / 1000 - Number(seconds))).toBeLessThan(600)
  expect(new Set(starts.map(([, , seconds]) => seconds)).size).toBe(4)
})

test('a web process says once what it and others say, and that the parent hangs', () => {
  const clock = new ManualClock(0)
  const port = new EventEmitter()
  const siblings = new Siblings(new Channel(port), clock, 'web 1')
  const all: ProcessReadiness[] = [
    { process: 'web 1', reasons: ['of old'] },
    { process: 'web 2', reasons: ['full', 'gone'], notes: ['a file'] },
    { process: 'consumer', reasons: ['store_busy'] },
  ]
  port.emit('message', { kind: 'event', name: 'readiness of all', args: [all] })
  const own = { reasons: ['full'], notes: ['a file'] }
  expect(siblings.withOthers(own)).toEqual({
    reasons: ['full', 'web 2: gone', 'store_busy'],
    notes: ['a file'],
  })
  clock.pass(newsBelievedMs)
  expect(siblings.withOthers(own).reasons).toContain('piccolo up has not answered web 1 for 5 s')
})

test.each(['info', 'silent'] as const)(
  'an error that keeps coming back counts each time, in a log of level %s',
  level => {
    const output = Object.assign(new LogOutput(), { write: () => {} })
    const log = createLog({ level, format: 'json', process: 'test', isTerminal: false }, output)
    const before = errorCounts.get('store_full') ?? 0
    const error = new RepeatedError(log, new ManualClock(0), 'batches cannot be committed')
    for (let time = 0; time < 3; time++) error.happened(storeError('store_full', 'no room'))
    expect(errorCounts.get('store_full')).toBe(before + 3)
  },
)
