import { type ChildProcess, fork } from 'node:child_process'
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { BatchSender } from '../../intake/send/batch-sender.ts'
import { Flusher } from '../../intake/send/flusher.ts'
import { IncrementList } from '../../intake/parse/increment-list.ts'
import { Producer } from '../../intake/send/producer.ts'
import { AckWaiters } from '../../intake/send/ack-waiters.ts'
import { webNodeOptions } from '../../cli/up/node-options.ts'
import { Channel, type Port } from '../../lib/process/channel.ts'
import { systemClock } from '../../lib/clock.ts'
import { createLog, RepeatedError } from '../../lib/process/log.ts'
import { batchIdOf, newProducerId } from '../../batch/batch.ts'
import { EmbeddedQueue } from '../../queue/embedded/embedded-queue.ts'
import { connectEmbeddedQueue, serveEmbeddedQueue } from '../../queue/embedded/ipc.ts'
import { EventLoopTurns, type Waits } from './event-loop-turns.ts'

/** Keys that arrive at once, as in one body. */
const bodyKeyCount = 250
const childArgument = 'measured'
const program = fileURLToPath(import.meta.url)

export interface FlushStall {
  readonly keyCount: number
  readonly intervalCount: number
  /** Waits until the event loop turns to a request that comes at any time; see EventLoopTurns. */
  readonly wallMs: Waits
  readonly ownMs: Waits
  /** Delays by `monitorEventLoopDelay`, less the interval of its own timer. */
  readonly delayMs: Waits
  readonly collections: { readonly count: number; readonly totalMs: number; readonly maxMs: number }
  readonly rssMebibytes: number
}

/**
 * Measures how long very large flushes hold up the event loop of a web process: its flusher, in a process of
 * its own as under `piccolo up`, takes so many distinct keys of 36 bytes an interval, and sends its batches
 * to an embedded queue in the parent, which confirms each at once. Every key counts: the parent adds up the
 * increments that it is sent.
 */
export async function measureFlushStall(keyCount = 1_000_000, intervalCount = 4): Promise<FlushStall> {
  const args = [childArgument, String(keyCount), String(intervalCount)]
  const execArgv = ['--disable-warning=ExperimentalWarning', ...webNodeOptions]
  const child = fork(program, args, { execArgv, serialization: 'advanced' })
  const queue = new EmbeddedQueue(systemClock)
  let received = 0
  queue.onPushed(() => void confirm())
  const confirm = async () => {
    for (const element of await queue.read()) {
      const { producer, sequence } = batchIdOf(element)!
      received += Number(/"increments":(\d+)/.exec(element)![1])
      await queue.publish({
        watermarks: new Map([[producer, sequence]]),
        parked: [],
        outcomes: [],
        discarded: [],
      })
    }
  }
  serveEmbeddedQueue(new Channel(child), queue)
  const result = await resultOf(child)
  if (received !== keyCount * intervalCount) throw new Error(`${received} increments arrived`)
  return result
}

function resultOf(child: ChildProcess): Promise<FlushStall> {
  return new Promise((resolve, reject) => {
    child.on('message', (message: { kind: string; name: string; args: [FlushStall] }) => {
      if (message.kind === 'event' && message.name === 'result') resolve(message.args[0])
    })
    child.once('exit', code => reject(new Error(`the measured process ended with ${code}`)))
  })
}

async function runMeasured(keyCount: number, intervalCount: number): Promise<FlushStall> {
  const channel = new Channel(process as Port)
  const queue = connectEmbeddedQueue(channel, systemClock)
  const producer = new Producer(newProducerId())
  const log = createLog({ level: 'warn', format: 'json', process: 'bench', isTerminal: false })
  const error = new RepeatedError(log, systemClock, 'batches cannot be pushed')
  const sender = new BatchSender(producer, queue, systemClock, error)
  const ackWaiters = new AckWaiters(systemClock, 5_000)
  // Those of one interval may still be on their way when those of the next have come.
  const keysMax = 2 * keyCount
  const flusher = new Flusher({
    sender,
    queue,
    clock: systemClock,
    flushIntervalMs: 1_000,
    keysMax,
    ackWaiters,
  })

  const pausesMs: number[] = []
  const observer = new PerformanceObserver(list =>
    pausesMs.push(...list.getEntries().map(each => each.duration)),
  )
  observer.observe({ entryTypes: ['gc'] })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const turns = new EventLoopTurns()
  turns.start()
  const text = Buffer.alloc(36, 'x')
  const list = new IncrementList()
  flusher.start()
  // The first interval warms up; its keys count all the same.
  for (let interval = 0; interval < intervalCount; interval++) {
    if (interval === 1) {
      turns.clear()
      pausesMs.length = 0
      delay.enable()
    }
    for (let index = 0; index < keyCount; index++) {
      text.write(`${interval}/${index}/`, 'latin1')
      list.reset(text)
      list.addUnhashed(0, text.length, 1)
      if (!flusher.tryAdd(list)) throw new Error('no room for a key')
      if (index % bodyKeyCount === 0) await turn()
    }
    while (flusher.keyCount > 0 || producer.unconfirmed.length > 0) await pause(10)
  }
  const { wall, own } = turns.stop()
  delay.disable()
  const result = {
    keyCount,
    intervalCount,
    wallMs: wall,
    ownMs: own,
    delayMs: {
      p99: delay.percentile(99) / 1e6 - 1,
      p999: delay.percentile(99.9) / 1e6 - 1,
      max: delay.max / 1e6 - 1,
    },
    collections: {
      count: pausesMs.length,
      totalMs: pausesMs.reduce((total, each) => total + each, 0),
      maxMs: Math.max(0, ...pausesMs),
    },
    rssMebibytes: process.memoryUsage.rss() / 2 ** 20,
  }
  await flusher.drain(1_000)
  channel.emit('result', result)
  return result
}

if (process.argv[1] === program) {
  const [first, ...rest] = process.argv.slice(2)
  if (first === childArgument) {
    await runMeasured(Number(rest[0]), Number(rest[1]))
    process.disconnect()
  } else console.log(JSON.stringify(await measureFlushStall(Number(first ?? 1_000_000)), null, 2))
}
