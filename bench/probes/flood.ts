import { setTimeout as pause } from 'node:timers/promises'
import { Flood } from '../../test/kit/flood.ts'
import { post } from '../../test/kit/raw-http.ts'
import { type Service, startUp } from './up-service.ts'

const port = 28_451
/** Time in which the kernel hands the last answers to the clients, and the consumer commits the rest. */
const settleMs = 3_000

interface Flooded {
  readonly answeredPerSecond: number
  readonly longestWaitMs: number
  /** Increments that were answered and are not counted, as time at the rate of the flood. */
  readonly lostMs: number
}

/** Measures what others feel while clients pipeline without end, and what `kill -9` of the web process costs. */
async function measureFlood(clientCount: number, seconds: number): Promise<Flooded> {
  const service = await startUp(port)
  const flood = new Flood(port, { piece: post('key=flood&value=1') }, clientCount)
  try {
    const startMs = performance.now()
    let longestWaitMs = 0
    while (performance.now() - startMs < seconds * 1_000)
      longestWaitMs = Math.max(longestWaitMs, await wait(service))
    const elapsedMs = performance.now() - startMs
    const answeredPerMs = flood.count('answered') / elapsedMs
    process.kill(service.pids.get('web 1')!, 'SIGKILL')
    await flood[Symbol.asyncDispose]()
    await pause(settleMs)
    const total = Number(service.sql("SELECT value FROM numbers WHERE key = 'flood'"))
    const lostMs = Math.max(0, flood.count('answered') - total) / answeredPerMs
    return { answeredPerSecond: answeredPerMs * 1_000, longestWaitMs, lostMs }
  } finally {
    await service.stop()
  }
}

/** Resolves to how long another client waits for the answer to one increment, in ms. */
async function wait({ url }: Service): Promise<number> {
  const sentMs = performance.now()
  await fetch(`${url}/increment`, { method: 'POST', body: new URLSearchParams({ key: 'other', value: '1' }) })
  return performance.now() - sentMs
}

const [seconds = '5', ...counts] = process.argv.slice(2)
for (const count of counts.length > 0 ? counts : ['1', '20', '100']) {
  const { answeredPerSecond, longestWaitMs, lostMs } = await measureFlood(Number(count), Number(seconds))
  console.log(
    `${count} flooding connections: ${Math.round(answeredPerSecond)} answered a second, others wait ` +
      `${Math.round(longestWaitMs)} ms at most, kill -9 loses ${Math.round(lostMs)} ms of what was answered`,
  )
}
