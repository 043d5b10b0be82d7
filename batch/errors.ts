import { type ErrorPolicy, OperationError } from '../lib/errors.ts'

/** Errors of an encoded batch, and how to go on after each; documented in docs/operations.md. */
export const batchErrors = {
  batch_newer: {
    retry: 'later',
    hint: 'upgrade the consumer: a web process of a later version wrote it; it waits in the queue',
  },
  batch_corrupt: {
    retry: 'never',
    hint: 'something else writes to the list; see the table rejected_elements',
  },
} as const satisfies Record<string, ErrorPolicy>

export function batchError(code: keyof typeof batchErrors, message: string, cause?: unknown): OperationError {
  return new OperationError(code, batchErrors[code], message, cause)
}
