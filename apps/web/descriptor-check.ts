import { descriptorsFull, descriptorsMax } from '../../lib/process/descriptors.ts'
import { exitCodes, UsageError } from '../../lib/errors.ts'
import type { Log } from '../../lib/process/log.ts'

/** Descriptors of a web process beside its connections: Node's (24, measured), Redis, the port, some to spare. */
const ownDescriptors = 48
/** Descriptors that clients never get: for files, and for connecting to Redis again. */
export const keptDescriptors = 32
const reservedDescriptors = ownDescriptors + keptDescriptors
const descriptorsMin = 128

/**
 * Returns how many descriptors this process may have open. Logs a warning where that is less than
 * `connectionsMax` asks for, unless `log` is null, and throws UsageError where it is too little for anything.
 */
export function checkedDescriptors(connectionsMax: number, log: Log | null): number {
  const max = descriptorsMax()
  if (max < descriptorsMin)
    throw new UsageError(
      `${max} file descriptors are allowed, a web process needs ${descriptorsMin} or more: raise ulimit -n`,
      exitCodes.badConfiguration,
    )
  const needed = connectionsMax + reservedDescriptors
  if (max < needed && log !== null) {
    const { code, policy } = descriptorsFull('')
    const numbers = { connectionsMax, served: max - reservedDescriptors, descriptorsMax: max, needed }
    const message = 'too few file descriptors for --connections-max: fewer connections can be open'
    log.warn({ code, hint: policy.hint, ...numbers }, message)
  }
  return max
}
