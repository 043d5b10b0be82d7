import { availableParallelism } from 'node:os'
import { Server } from '../processes.ts'

/**
 * Keeps every core busy while `work` lasts, with what runs only where nothing else wants to (SCHED_IDLE).
 * A virtual machine that idles has its cores taken away by its host, and waits milliseconds, at times a tenth
 * of a second, to get them back: an open loop at a moderate rate would measure that.
 */
export async function whileAwake<T>(work: () => Promise<T>): Promise<T> {
  const args = ['--idle', '0', process.execPath, '-e', 'for (;;);']
  const spinners = Array.from(
    { length: availableParallelism() },
    (_, core) => new Server({ program: 'chrt', args, cores: String(core) }),
  )
  try {
    return await work()
  } finally {
    await Promise.all(spinners.map(spinner => spinner.stop('SIGKILL')))
  }
}
