import { descriptorsFull, nextDescriptor } from '../../lib/process/descriptors.ts'
import { errorText, OperationError } from '../../lib/errors.ts'
import { storeError, type StoreErrorCode } from '../errors.ts'

/** The first letters of SQLite's result codes, and the errors that they mean. */
const resultCodes: readonly (readonly [string, StoreErrorCode])[] = [
  ['SQLITE_BUSY', 'store_busy'],
  ['SQLITE_LOCKED', 'store_busy'],
  ['SQLITE_FULL', 'store_full'],
  ['SQLITE_CORRUPT', 'store_corrupt'],
  ['SQLITE_NOTADB', 'store_corrupt'],
  ['SQLITE_CANTOPEN', 'store_unreadable'],
  ['SQLITE_READONLY', 'store_unreadable'],
  ['SQLITE_PERM', 'store_unreadable'],
  ['SQLITE_AUTH', 'store_unreadable'],
  ['SQLITE_IOERR', 'store_failed'],
  ['SQLITE_NOMEM', 'store_failed'],
  ['SQLITE_PROTOCOL', 'store_failed'],
]

/**
 * Returns the OperationError of an exception from SQLite; anything else is an internal error and is returned
 * as it is. The message begins with the path, where one is given.
 */
export function classifyError(error: unknown, path?: string): unknown {
  if (error instanceof OperationError) return error
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code !== 'string') return error
  const text = `${path === undefined ? '' : `${path}: `}${errorText(error)} (${code})`
  const known = resultCodes.find(([prefix]) => code.startsWith(prefix))
  // SQLite says only that it cannot open a file: for want of a descriptor, that is no error of the path.
  if (code.startsWith('SQLITE_CANTOPEN') && nextDescriptor() === null) return descriptorsFull(text, error)
  return known ? storeError(known[1], text, error) : error
}
