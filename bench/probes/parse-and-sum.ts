import assert from 'node:assert'
import { Accumulator } from '../../apps/web/accumulator.ts'
import { IncrementList } from '../../apps/web/increment-list.ts'
import { readJson, readNdjson } from '../../apps/web/json.ts'
import { decodeBatch, newProducerId } from '../../queue/batch.ts'
import { BatchWriter } from '../../queue/batch-writer.ts'
import { batchKeysMax } from '../../queue/limits.ts'

/** As many as come between two flushes at four million increments a second. */
const bodyCount = 400
const linesPerBody = 1_000

export interface ParseAndSum {
  readonly keyCount: number
  /** Medians of the rounds, in increments a second of processor time, on one thread. */
  readonly ndjson: number
  readonly jsonArray: number
  readonly jsonParsePerLine: number
}

/** A way to read bodies and add up what is in them; answers the sum of all keys. */
type Way = () => { cpuMicroseconds: number; total: number }

/**
 * Reading and adding up alone, on one thread: bodies of 1,000 lines as bytes, sums by key, from an empty
 * accumulator as after a flush. Ways take turns, and each must come to the right total each time. Time is
 * that of the processor, garbage collection included, so that a busy machine does not show.
 */
export function measureParseAndSum(keyCount: number, roundCount: number): ParseAndSum {
  // uWebSockets.js takes its buffers back, and V8 looks at each access for that from the first time on.
  structuredClone(new ArrayBuffer(8), { transfer: [new ArrayBuffer(8)] })
  const bodies = Array.from({ length: bodyCount }, (_, index) => incrementsOf(index, keyCount))
  const total = bodies.flat().reduce((sum, { value }) => sum + value, 0)
  const lines = bodies.map(body => body.map(each => JSON.stringify(each)))
  const ndjsonBodies = lines.map(each => bytesOf(`${each.join('\n')}\n`))
  const arrayBodies = lines.map(each => bytesOf(`[${each.join()}]`))
  const ways = {
    ndjson: columns(readNdjson, ndjsonBodies),
    jsonArray: columns(readJson, arrayBodies),
    jsonParsePerLine: parsed(ndjsonBodies),
  }
  const names = Object.keys(ways) as (keyof typeof ways)[]
  const rates = { ndjson: [], jsonArray: [], jsonParsePerLine: [] } as Record<keyof typeof ways, number[]>
  // The first rounds warm up.
  for (let round = -3; round < roundCount; round++)
    for (const name of names) {
      const measured = ways[name]()
      assert.equal(measured.total, total, `the total of ${name}`)
      if (round >= 0) rates[name].push((bodyCount * linesPerBody * 1e6) / measured.cpuMicroseconds)
    }
  const [ndjson, jsonArray, jsonParsePerLine] = names.map(name => median(rates[name]))
  return { keyCount, ndjson: ndjson!, jsonArray: jsonArray!, jsonParsePerLine: jsonParsePerLine! }
}

/** Ours. */
function columns(read: typeof readNdjson, bodies: readonly Uint8Array[]): Way {
  const list = new IncrementList()
  let accumulator = new Accumulator(() => ({ wallMs: 0, monotonicMs: 0 }))
  return () => {
    accumulator = new Accumulator(() => ({ wallMs: 0, monotonicMs: 0 }), accumulator)
    const cpuMicroseconds = cpuOf(() => {
      for (const body of bodies) {
        if (read(body, list) !== null) throw new Error('a body was refused')
        accumulator.add(list)
      }
    })
    return { cpuMicroseconds, total: totalOf(accumulator) }
  }
}

/** Of one body: keys spread over all of them, one as often as the other. */
function incrementsOf(bodyIndex: number, keyCount: number): { key: string; value: number }[] {
  return Array.from({ length: linesPerBody }, (_, line) => {
    const number = ((bodyIndex * linesPerBody + line) * 7_919) % keyCount
    return { key: `counter-${number}`, value: (line % 100) - 20 }
  })
}

function totalOf(accumulator: Accumulator): number {
  const writer = new BatchWriter()
  const counts = { increments: batchKeysMax, sealed: batchKeysMax }
  const header = { producer: newProducerId(), sequence: 1, oldestMs: 0, ...counts }
  let total = 0
  for (let first = 0; first < accumulator.summedKeyCount; first += batchKeysMax) {
    accumulator.write(Math.min(batchKeysMax, accumulator.summedKeyCount - first), writer)
    for (const sum of decodeBatch(writer.finish(header)).sums) total += Number(sum)
  }
  return total
}

/** What one would write first. */
function parsed(bodies: readonly Uint8Array[]): Way {
  const decoder = new TextDecoder()
  return () => {
    const sums = new Map<string, number>()
    const cpuMicroseconds = cpuOf(() => {
      for (const body of bodies)
        for (const line of decoder.decode(body).split('\n')) {
          if (line === '') continue
          const { key, value } = JSON.parse(line)
          sums.set(key, (sums.get(key) ?? 0) + value)
        }
    })
    return { cpuMicroseconds, total: [...sums.values()].reduce((sum, each) => sum + each, 0) }
  }
}

function cpuOf(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return user + system
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text))
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1]!
}

if (process.argv[1] === import.meta.filename) {
  const rate = (each: number) => `${(each / 1e6).toFixed(1)} M/s`
  for (const keyCount of [1, 9_000, 100_000]) {
    const measured = measureParseAndSum(keyCount, Number(process.argv[2] ?? 30))
    console.log(
      `${keyCount} keys: NDJSON ${rate(measured.ndjson)}, JSON array ${rate(measured.jsonArray)}, ` +
        `JSON.parse per line ${rate(measured.jsonParsePerLine)}`,
    )
  }
}
