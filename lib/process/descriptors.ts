import { closeSync, openSync, readFileSync } from 'node:fs'
import { devNull } from 'node:os'
import { type ErrorPolicy, errorText, OperationError } from '../errors.ts'

const policy: ErrorPolicy = {
  retry: 'later',
  hint: 'raise the limit: ulimit -n before the start, or LimitNOFILE= in a systemd unit',
}

/** How the system says that no file descriptor is free, in this process or on the whole machine. */
const codes: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE'])

export function isOutOfDescriptors(error: unknown): boolean {
  return codes.has((error as { code?: unknown } | null)?.code)
}

export function descriptorsFull(message: string, cause?: unknown): OperationError {
  return new OperationError('descriptors_full', policy, message, cause)
}

/** Descriptors that this process may have open at a time; infinite where the system does not tell. */
export function descriptorsMax(): number {
  try {
    const limit = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
    return limit === null ? Number.POSITIVE_INFINITY : Number(limit[1])
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** The one that would be opened next, which is always the lowest that is free; null when none is. */
export function nextDescriptor(): number | null {
  try {
    const descriptor = openSync(devNull, 'r')
    closeSync(descriptor)
    return descriptor
  } catch (error) {
    if (isOutOfDescriptors(error)) return null
    throw error
  }
}

/** The error as an OperationError where it says that no descriptor is free; any other as it is. */
export function classified(error: unknown): unknown {
  return isOutOfDescriptors(error) ? descriptorsFull(errorText(error), error) : error
}
