import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseWrk, wrkScript } from '../loads/wrk.ts'
import { outputOf } from '../processes.ts'
import { formIncrement } from '../peers/peer.ts'
import { rssMebibytesOf, startUp } from './up-service.ts'

const port = 28_461
const connections = 64

export interface SoakSample {
  readonly seconds: number
  /** Resident memory by process. */
  readonly mebibytes: ReadonlyMap<string, number>
}

/**
 * The memory of every process of `up` under all the load that it takes: requests of one increment each, in a
 * closed loop, over so many keys. Throws unless in the end all that was answered is counted.
 */
export async function measureSoak(options: {
  readonly seconds: number
  readonly keyCount: number
  readonly sampleSeconds: number
  readonly say: (sample: SoakSample) => void
}): Promise<{ requestsPerSecond: number }> {
  const { seconds, keyCount, sampleSeconds, say } = options
  const folder = mkdtempSync(join(tmpdir(), 'piccolo-soak-'))
  const service = await startUp(port)
  try {
    const script = join(folder, 'wrk.lua')
    writeFileSync(script, wrkScript(formIncrement, { connections, keyCount, pipeline: 1 }))
    const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, service.url]
    let isOver = false
    const load = outputOf({ program: 'wrk', args, cores: null }).finally(() => {
      isOver = true
    })
    for (let second = 0; !isOver; second++) {
      await new Promise(resolve => setTimeout(resolve, 1_000))
      if ((second + 1) % sampleSeconds !== 0) continue
      const mebibytes = [...service.pids].map(([name, pid]) => [name, rssMebibytesOf(pid)] as const)
      say({ seconds: second + 1, mebibytes: new Map(mebibytes) })
    }
    const { increments, failures } = parseWrk(await load)
    if (failures > 0) throw new Error(`${failures} requests failed`)
    await service.committed()
    const total = Number(service.sql('SELECT SUM(value) FROM numbers'))
    if (total < increments || total > increments + connections)
      throw new Error(`${increments} increments were answered, and the total is ${total}`)
    return { requestsPerSecond: increments / seconds }
  } finally {
    await service.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [seconds = 600, keyCount = 9_000] = process.argv.slice(2).map(Number)
  const { requestsPerSecond } = await measureSoak({
    seconds,
    keyCount,
    sampleSeconds: Math.max(1, Math.min(30, Math.floor(seconds / 4))),
    say: ({ seconds: second, mebibytes }) =>
      console.log(
        `${second} s: ${[...mebibytes].map(([name, each]) => `${name} ${each.toFixed(0)} MiB`).join(', ')}`,
      ),
  })
  console.log(`${Math.round(requestsPerSecond)} requests a second, all of them counted`)
}
