import { readFileSync } from 'node:fs'
import { Server } from '../processes.ts'

/**
 * Keeps every core busy while `work` lasts, with what runs only where nothing else wants to (SCHED_IDLE).
 * A virtual machine that idles has its cores taken away by its host, and waits milliseconds, at times a tenth
 * of a second, to get them back: an open loop at a moderate rate would measure that.
 */
export async function whileAwake<T>(work: () => Promise<T>): Promise<T> {
  const args = ['--idle', '0', process.execPath, '-e', 'for (;;);']
  const spinners = coresIn(readFileSync('/proc/self/status', 'latin1')).map(
    core => new Server({ program: 'chrt', args, cores: String(core) }),
  )
  try {
    return await work()
  } finally {
    await Promise.all(spinners.map(spinner => spinner.stop('SIGKILL')))
  }
}

/** The cores that a process may use, by its /proc/PID/status: there `0-2,5` are four. */
export function coresIn(status: string): number[] {
  const ranges = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1]?.split(',') ?? []
  return ranges.flatMap(range => {
    const [first, last = first] = range.split('-').map(Number) as [number, number?]
    return Array.from({ length: last! - first + 1 }, (_, index) => first + index)
  })
}
