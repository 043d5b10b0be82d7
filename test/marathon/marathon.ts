import { readFileSync } from 'node:fs'
import { expectedTotals, newBook, RetryingClient } from '../chaos/retrying-client.ts'
import { FaultyService, type QueueKind } from '../chaos/faulty-service.ts'
import { Random } from '../kit/random.ts'
import { Program } from '../kit/service.ts'
import { Account, makeBody } from './account.ts'
import { type ClientParts, flood, sendBatches, sendMessages, vanish } from './clients.ts'

export interface Progress {
  /** Increments that were answered with 200 in this turn. */
  readonly acknowledged: number
  readonly faultCount: number
  /** Age of the oldest increment that is not in the database; null when nobody could be asked. */
  readonly lagMs: number | null
  /** Resident, of all processes of the service. */
  readonly mebibytes: number
}

export interface TurnOptions {
  readonly queue: QueueKind
  readonly seed: number
  readonly durationMs: number
  /** Hears of each fault as it happens. */
  readonly note: (event: string) => void
  readonly progress: (progress: Progress) => void
}

export interface TurnResult {
  /** Increments in the ledger of the database. */
  readonly counted: number
  /** Requests with idempotency keys. */
  readonly keyedRequests: number
  readonly faultCount: number
  /** Increments acknowledged from memory before a web process was killed, and how many are missing. */
  readonly atRisk: number
  readonly missing: number
}

const batchClients = 4
const streamClients = 2
const retryingClients = 4
const batchLines = 20_000
const messageLines = 500
const sharedKeys = 2_000
const progressIntervalMs = 10_000
/** Pauses between faults: long enough for the service to come back to full speed. */
const faultPauseMsMin = 2_000
const faultPauseMsMax = 8_000

/**
 * The whole service at full speed under faults: batches, streams, requests with idempotency keys, clients
 * that flood and clients that vanish. Rejects, with what differs, when a total is not what it must be: only
 * what a killed web process had acknowledged from memory may be missing.
 */
export async function runTurn(options: TurnOptions): Promise<TurnResult> {
  const { queue, seed, durationMs, note } = options
  const random = new Random(seed)
  const service = await FaultyService.start({ queue, random, note })
  try {
    const account = new Account()
    const book = newBook()
    let isOver = false
    const parts = (name: string, lineCount: number): ClientParts => ({
      name,
      target: service,
      account,
      random: new Random(random.below(2 ** 31)),
      bodies: [1, 2].map(number =>
        makeBody(`${name} ${number}`, lineCount, line => `key ${(line * 7 + number) % sharedKeys}`),
      ),
      isStopped: () => isOver,
    })
    const retrying = Array.from(
      { length: retryingClients },
      (_, index) => new RetryingClient(`retry ${index}`, service.url, new Random(seed * 1_000 + index), book),
    )
    const running = Promise.all([
      ...Array.from({ length: batchClients }, (_, index) =>
        sendBatches(parts(`batches ${index}`, batchLines)),
      ),
      ...Array.from({ length: streamClients }, (_, index) =>
        sendMessages(parts(`stream ${index}`, messageLines)),
      ),
      flood(parts('flood', 1)),
      vanish(parts('vanishing', messageLines)),
      ...retrying.map(client => client.run()),
    ])
    const endMs = performance.now() + durationMs
    const faults = injectFaults(service, random, endMs)
    const reports = report(options, service, account, endMs)
    await Promise.race([Promise.all([faults, reports]), running])
    isOver = true
    for (const client of retrying) client.stop()
    await Promise.all([running, faults, reports])
    await service.settle()
    return await judge(service, account, book, options)
  } finally {
    await service[Symbol.asyncDispose]()
  }
}

async function injectFaults(service: FaultyService, random: Random, endMs: number): Promise<void> {
  for (;;) {
    const pauseMs = faultPauseMsMin + random.below(faultPauseMsMax - faultPauseMsMin)
    if (performance.now() + pauseMs > endMs) return pause(Math.max(0, endMs - performance.now()))
    await pause(pauseMs)
    await service.fault()
  }
}

async function report(
  { progress }: TurnOptions,
  service: FaultyService,
  account: Account,
  endMs: number,
): Promise<void> {
  while (performance.now() + progressIntervalMs < endMs) {
    await pause(progressIntervalMs)
    const { faultCount } = service
    const { acknowledged } = account
    progress({
      acknowledged,
      faultCount,
      lagMs: await lagMsOf(service),
      mebibytes: mebibytesOf(service.pids),
    })
  }
}

async function lagMsOf({ url }: FaultyService): Promise<number | null> {
  try {
    const text = await (await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5_000) })).text()
    const ages = [...text.matchAll(/^piccolo_oldest_unconfirmed_seconds\{.*\} (\S+)$/gm)]
    return Math.round(1_000 * Math.max(...ages.map(([, age]) => Number(age))))
  } catch {
    return null
  }
}

function mebibytesOf(pids: readonly number[]): number {
  const kibibytes = pids.map(pid => {
    try {
      return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
    } catch {
      return 0
    }
  })
  return Math.round(kibibytes.reduce((sum, each) => sum + each, 0) / 1024)
}

async function judge(
  service: FaultyService,
  account: Account,
  book: ReturnType<typeof newBook>,
  { seed, queue }: TurnOptions,
): Promise<TurnResult> {
  try {
    const totals = service.folder.totals()
    const { expected } = expectedTotals(book, totals)
    for (const [key, total] of expected) {
      if (totals.get(key) !== total) throw new Error(`${key}: expected ${total}, is ${totals.get(key)}`)
      totals.delete(key)
    }
    if (book.faults.length > 0) throw new Error(book.faults.slice(0, 20).join('\n'))
    const { atRisk, missing } = account.judge(totals)
    const verify = new Program(['verify', '--database', service.folder.database])
    if ((await verify.exited) !== 0) throw new Error(verify.output)
    const counted = Number(service.folder.sql('SELECT sum(applied) FROM producers'))
    const { applied, duplicate } = book.counts
    const { faultCount } = service
    return { counted, keyedRequests: applied + duplicate, faultCount, atRisk, missing }
  } catch (error) {
    const ledger = service.folder.sql('SELECT * FROM producers')
    throw new Error([`seed ${seed}, ${queue}`, error, ledger, service.output.slice(-6_000)].join('\n'), {
      cause: error,
    })
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
