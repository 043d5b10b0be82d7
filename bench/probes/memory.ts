import { fileURLToPath } from 'node:url'
import { Accumulator } from '../../apps/web/accumulator.ts'
import { IncrementList } from '../../apps/web/increment-list.ts'
import { encodeBatch } from '../../queue/batch-writer.ts'
import { batchKeysMax } from '../../queue/limits.ts'
import { startFiller } from './filler.ts'
import { rssMebibytesOf, startUp } from './up-service.ts'

export interface KeyBytes {
  readonly keyCount: number
  /** Bytes a key of 36 bytes: of an accumulator, and of a sealed batch. */
  readonly accumulator: number
  readonly batch: number
}

/** Needs `--expose-gc`: what is garbage must not count. */
export function measureKeyBytes(keyCount: number): KeyBytes {
  const keyAt = (index: number) => String(index).padStart(36, 'k')
  const before = usedBytes()
  const accumulator = new Accumulator(() => ({ wallMs: 0, monotonicMs: 0 }))
  const list = new IncrementList()
  for (let index = 0; index < keyCount; index++) {
    const key = new Uint8Array(Buffer.from(keyAt(index)))
    list.reset(key)
    list.addUnhashed(0, key.length, index)
    accumulator.add(list)
  }
  const bytes = usedBytes() - before
  if (accumulator.keyCount !== keyCount) throw new Error('keys are missing')
  const keys = Array.from({ length: Math.min(keyCount, batchKeysMax) }, (_, index) => keyAt(index))
  const header = { producer: '0'.repeat(20), sequence: 1, oldestMs: 1e12, increments: 1, sealed: 1 }
  const element = encodeBatch({ ...header, keys, sums: keys.map((_, index) => index), keyed: [] })
  return { keyCount, accumulator: bytes / keyCount, batch: element.length / keys.length }
}

/** Of the heap, and of the arrays outside of it. */
function usedBytes(): number {
  if (global.gc === undefined) throw new Error('start it with node --expose-gc')
  for (let round = 0; round < 3; round++) global.gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

export interface MemorySample {
  readonly seconds: number
  readonly keysWaiting: number
  readonly rssMebibytes: number
}

/**
 * The memory of a web process that gets so many new keys a second, as NDJSON, sampled once a second.
 * Throws if a key is missing or counted twice in the end.
 */
export async function measureMemory(options: {
  readonly keysPerSecond: number
  readonly flushIntervalMs: number
  readonly seconds: number
}): Promise<MemorySample[]> {
  const { keysPerSecond, flushIntervalMs, seconds } = options
  const flush = ['--flush-interval-ms', String(flushIntervalMs), '--keys-max', '2000000']
  const service = await startUp(28_452, [...flush, '--staleness-max-ms', '60000'])
  const samples: MemorySample[] = []
  try {
    const filler = startFiller(service.url, 'memory/', keysPerSecond)
    for (let second = 1; second <= seconds; second++) {
      await new Promise(resolve => setTimeout(resolve, 1_000))
      const waiting = /^piccolo_keys_waiting\{[^}]*\} (\d+)$/m.exec(await service.metrics())
      samples.push({
        seconds: second,
        keysWaiting: Number(waiting?.[1] ?? 0),
        rssMebibytes: rssMebibytesOf(service.pids.get('web 1')!),
      })
    }
    const sent = await filler.stop()
    await service.committed()
    const counted = service.sql('SELECT COUNT(*), SUM(value) FROM numbers')
    if (counted !== `${sent}|${sent}`) throw new Error(`sent ${sent} keys, found ${counted}`)
    return samples
  } finally {
    await service.stop()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [seconds = 30, keysPerSecond = 100_000, flushIntervalMs = 10_000] = process.argv.slice(2).map(Number)
  for (const keyCount of [1_000, 30_000, 100_000, 1_000_000]) {
    const { accumulator, batch } = measureKeyBytes(keyCount)
    console.log(`${keyCount} keys: ${accumulator.toFixed(0)} bytes a key, in a batch ${batch.toFixed(0)}`)
  }
  for (const sample of await measureMemory({ keysPerSecond, flushIntervalMs, seconds }))
    console.log(`${sample.seconds} s: ${sample.keysWaiting} keys wait, ${sample.rssMebibytes.toFixed(0)} MiB`)
}
