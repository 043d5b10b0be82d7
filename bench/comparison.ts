import type { Load, Sample } from './loads/load.ts'
import { cpuMsOf } from './processes.ts'
import { requireProgram } from './peers/requirements.ts'
import { type Place, type Peer, type Running, Unavailable } from './peers/peer.ts'
import { type Entry, type Point, type Round, type Subject, summary } from './report/result.ts'
import { errorText } from '../lib/errors.ts'
import { sleep, systemClock } from '../lib/clock.ts'

/** Compilers warm up by time; so a warm-up has some, however short the turns are. */
const warmUpSecondsMin = 3
/** Whatever works behind the requests (flush, consumer) has its CPU time counted, too. */
const settleMs = 250

export interface Candidate {
  readonly peer: Peer
  readonly load: Load
  /** Name in the table. Default: the name of the peer. */
  readonly name?: string
  /** Why it cannot be loaded so on this machine; null when it can. */
  readonly lacks?: () => string | null
  /** Its place on the line of a chart, if that has lines. */
  readonly point?: Point
}

export interface ComparisonOptions {
  readonly rounds: number
  readonly seconds: number
  readonly subject: Subject
  readonly place: Place
  readonly say: (line: string) => void
}

interface Started {
  readonly candidate: Candidate
  readonly name: string
  readonly running: Running
  readonly rounds: Round[]
  /** All samples, the warm-up included: the total must be their sum. */
  readonly samples: Sample[]
}

export interface Outcome {
  readonly entries: readonly Entry[]
  /** Who could not take part, and why. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
}

/**
 * All candidates run at the same time and are loaded in turns, so that each round sees the same machine. The
 * first round warms up and is not counted. Then each total is compared with what was sent. A candidate that
 * cannot run here is skipped, one that fails or counts wrongly ends the comparison.
 */
export async function compare(
  candidates: readonly Candidate[],
  options: ComparisonOptions,
): Promise<Outcome> {
  const started: Started[] = []
  const skipped: { name: string; reason: string }[] = []
  const entries: Entry[] = []
  try {
    for (const candidate of candidates) {
      const name = candidate.name ?? candidate.peer.name
      try {
        const running = await start(candidate, options.place)
        started.push({ candidate, name, running, rounds: [], samples: [] })
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error
        const cause = error.cause === undefined ? '' : `: ${errorText(error.cause)}`
        options.say(`  ${name} is skipped: ${error.message}${cause}`)
        skipped.push({ name, reason: error.message })
      }
    }
    for (let round = 0; round <= options.rounds; round++)
      for (const each of started) await measure(each, round, options)
    for (const each of started) entries.push(await finish(each, baselineOf(each, started), options.subject))
  } finally {
    for (const { running } of started) await running.stop()
  }
  return { entries, skipped }
}

/** Throws Unavailable when the peer, or its load, cannot run on this machine. */
async function start({ peer, load, lacks }: Candidate, place: Place): Promise<Running> {
  const lacking = lacks?.() ?? null
  if (lacking !== null) throw new Unavailable(lacking)
  if (load.needs !== undefined) requireProgram(...load.needs)
  return peer.start(place)
}

/** Returns what it is compared with: the first, or the first of those at the same place on another line. */
function baselineOf({ candidate }: Started, all: readonly Started[]): Started {
  const peers = all.filter(each => each.candidate.point?.x === candidate.point?.x)
  return peers.length > 1 ? peers[0]! : all[0]!
}

async function measure(
  started: Started,
  round: number,
  { seconds, place, say }: ComparisonOptions,
): Promise<void> {
  const { running, candidate, name, rounds, samples } = started
  const lasts = round === 0 ? Math.max(seconds, warmUpSecondsMin) : seconds
  const before = cpuTimes(running)
  const sample = await candidate.load.run(running, { seconds: lasts, ...place })
  await sleep(systemClock, settleMs)
  const after = cpuTimes(running)
  samples.push(sample)
  if (sample.failures > 0) say(`  ${name}: ${sample.failures} failed`)
  const perIncrement = 1_000 / Math.max(1, sample.increments)
  const measured = {
    incrementsPerSecond: sample.increments / sample.seconds,
    cpuUs: (after.all - before.all) * perIncrement,
    frontCpuUs: (after.front - before.front) * perIncrement,
    failures: sample.failures,
    latencyMs: sample.latencyMs,
  }
  const label = round === 0 ? 'warm-up' : `round ${round}`
  say(`  ${label}, ${name}: ${Math.round(measured.incrementsPerSecond)}/s, ${measured.cpuUs.toFixed(2)} µs`)
  if (round > 0) rounds.push(measured)
}

function cpuTimes({ pids, frontPids = pids }: Running): { all: number; front: number } {
  return { all: cpuMsOf(pids), front: cpuMsOf(frontPids) }
}

async function finish(
  { name, candidate, running, rounds, samples }: Started,
  first: Started,
  subject: Subject,
): Promise<Entry> {
  const answered = samples.reduce((sum, sample) => sum + sample.increments, 0)
  const underWayMax = samples.reduce((sum, sample) => sum + sample.underWayMax, 0)
  await running.stop()
  const total = await running.total()
  const { does, loses } = candidate.peer
  if (total !== null && !loses && (total < answered || total > answered + underWayMax))
    throw new Error(`${name}: ${answered} increments were answered, and the total is ${total}`)
  const share = total === null ? 1 : Math.min(1, total / answered)
  const counted = total === null ? null : { answered, total, share }
  const { point } = candidate
  const about = { name, does, load: candidate.load.name, ...(point && { point }) }
  const own = loses === 'datagrams' ? rounds.map(round => ofCounted(round, share)) : rounds
  return { ...about, rounds: own, ...summary(own, first.rounds, subject), counted }
}

/** Scales a round to the share that was counted: increments that never arrived are none. */
function ofCounted(round: Round, share: number): Round {
  const { incrementsPerSecond, cpuUs, frontCpuUs } = round
  const scaled = { cpuUs: cpuUs / share, frontCpuUs: frontCpuUs / share }
  return { ...round, ...scaled, incrementsPerSecond: incrementsPerSecond * share }
}
