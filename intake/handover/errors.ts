import { type ErrorPolicy, errorText, OperationError } from '../../lib/errors.ts'

/** The errors of hand-over files and how to go on after each; docs/operations.md explains them. */
export const handoverErrors = {
  handover_incomplete: {
    retry: 'later',
    hint: 'copy the file again if it was cut off; it is looked at whenever it changes, and never removed',
  },
  handover_newer: { retry: 'later', hint: 'upgrade this process: a later version wrote the file' },
  handover_foreign: {
    retry: 'never',
    hint: 'bring the file to the service whose database it names; if that is this one, run piccolo recover FILE',
  },
  handover_misnamed: { retry: 'never', hint: 'run piccolo recover FILE, which gives it its right name' },
  handover_unreadable: {
    retry: 'later',
    hint: 'look at the rights, the disk and the limit of open files; what is no file is left alone',
  },
  handover_unwritable: {
    retry: 'later',
    hint: 'free space, give a --state-dir on a disk that has some, or raise ulimit -f (LimitFSIZE= of a unit)',
  },
  handover_misplaced: {
    retry: 'never',
    hint: 'free space in the state directory, and run piccolo recover FILE',
  },
} as const satisfies Record<string, ErrorPolicy>

export type HandoverErrorCode = keyof typeof handoverErrors

export function handoverError(code: HandoverErrorCode, message: string, cause?: unknown): OperationError {
  return new OperationError(code, handoverErrors[code], message, cause)
}

/** Turns errors of the file system, and internal ones here, into an error that an operator can act upon. */
export function handoverErrorOf(error: unknown): OperationError {
  return error instanceof OperationError
    ? error
    : handoverError('handover_unreadable', errorText(error), error)
}
